"""Every loss as a function: `focal_loss(logits, target, gamma=2.0, reduction="sum")`.

Derived from the classes, whose docstrings they carry; `functional.pyi` beside this file holds the same signatures for
type checkers (`make stubs` writes it, a test holds it to the classes)."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor

from whyloss.losses.catalogue import catalogue, function_name
from whyloss.losses.loss import Loss


def functional(cls: type[Loss]) -> Callable[..., Tensor]:
    """The functional form of a loss: the fields of the class as keywords, `sample_weight` and `normalizer` besides.

    >>> import torch, whyloss
    >>> class Half(whyloss.RowLoss):
    ...     def formula(self, not_p):
    ...         return not_p / 2
    >>> half = whyloss.functional.functional(Half)
    >>> half(torch.zeros(1, 2), torch.tensor([0]), reduction="sum")
    tensor(0.2500)
    """

    def function(
        logits: Tensor,
        target: Tensor,
        *,
        sample_weight: Tensor | None = None,
        normalizer: float | Tensor | None = None,
        **fields: Any,
    ) -> Tensor:
        reads = {n: read for n in (*cls.reads, *cls.may_read) if (read := fields.pop(n, None)) is not None}
        return cls(**fields)(logits, target, sample_weight=sample_weight, normalizer=normalizer, **reads)

    function.__name__ = function.__qualname__ = function_name(cls)
    function.__doc__ = f"`{cls.__name__}` as a function.\n\n{inspect.getdoc(cls)}"
    function.__module__ = __name__
    own = list(inspect.signature(function).parameters.values())[:-1]
    reads = [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, annotation=Tensor) for n in cls.reads]
    reads += [
        inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, annotation=Tensor, default=None) for n in cls.may_read
    ]
    fields = reads + [p for p in inspect.signature(cls.__init__).parameters.values() if p.name != "self"]
    function.__signature__ = inspect.Signature(own + fields, return_annotation=Tensor)  # type: ignore[attr-defined]
    return function


_functions = {function_name(cls): functional(cls) for cls in catalogue().values() if not cls.stateful}
globals().update(_functions)
__all__ = ["functional", *_functions]  # pyright: ignore[reportUnsupportedDunderAll]
