"""What a formula is: a function of statistics, which are the names of its parameters."""

import inspect
from collections.abc import Callable, Hashable, Mapping

from torch import Tensor

from whyloss.stats.table import arguments, captions


class Formula:
    """A function of statistics, their names, and what finds the key that stands for what else it depends on (see
    key.py)."""

    def __init__(self, names: tuple[str, ...], function: Callable[..., Tensor], key: Callable[[], Hashable]):
        self.names, self.function, self.key = names, function, key

    def __call__(self, statistics: Mapping[str, Tensor]) -> Tensor:
        return self.function(**{n: statistics[n] for n in self.names})


def statistics() -> dict[str, str]:
    """Every statistic that a formula can name, and what it is.

    >>> statistics()["not_p"]
    '1 - p_y, exact near 0'
    """
    return captions()


def statistics_of(cls: type, method: str, unwritten: object = None) -> tuple[str, ...]:
    """The parameter names of a class's formula, checked against the table; none of one that is `unwritten`."""
    function = getattr(cls, method, None)
    if function is None or function is unwritten:
        return ()
    parameters = list(inspect.signature(function).parameters.values())
    if not isinstance(inspect.getattr_static(cls, method), staticmethod):
        parameters = parameters[1:]
    names = tuple(p.name for p in parameters)
    known = captions()
    for name in names:
        if name not in known:
            raise TypeError(
                f"{cls.__name__}.{method} asks for {name!r}, which is no statistic. Parameters of a loss are fields of "
                f"its class, read as self.{name}; statistics are: {', '.join(known)}."
            )
    for argument in arguments(names):
        if argument not in getattr(cls, "__dataclass_fields__", {}) and not hasattr(cls, argument):
            raise TypeError(
                f"{cls.__name__}.{method} reads a statistic of self.{argument}, which the class does not have."
            )
    return names


def has_average(cls: type) -> bool:
    """Whether the class's `average` speaks of its `formula`: defined in the same class, or in one derived from it."""
    for parent in cls.__mro__:
        if "average" in vars(parent):
            return True
        if "formula" in vars(parent):
            return False
    return False
