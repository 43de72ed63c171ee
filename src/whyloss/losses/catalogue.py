"""Every loss of the library, found by subclassing; names, short names and functional names."""

import re

from whyloss.losses import continuous, imbalance, margin, multilabel, proper, region, relations, robust
from whyloss.losses.loss import Loss

FAMILIES = {
    "proper": proper,
    "robust": robust,
    "imbalance": imbalance,
    "margin": margin,
    "relations": relations,
    "multilabel": multilabel,
    "continuous": continuous,
    "region": region,
}


def catalogue() -> dict[str, type[Loss]]:
    """Class name -> class, family by family, in the order of definition. A base class has no short name of its own."""
    return {
        name: cls
        for package in FAMILIES.values()
        for name, cls in vars(package).items()
        if isinstance(cls, type) and issubclass(cls, Loss) and cls.__module__.startswith(f"{package.__name__}.")
        if "short" in vars(cls)
    }


def family(cls: type[Loss]) -> str:
    """
    >>> family(find("gce"))
    'robust'
    """
    return cls.__module__.split(".")[2]


def function_name(cls: type[Loss]) -> str:
    """FocalLoss -> focal_loss, LDAMLoss -> ldam_loss, Poly1CrossEntropyLoss -> poly1_cross_entropy_loss."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()


def find(name: str) -> type[Loss]:
    """The loss with this class name, short name or functional name, in any spelling.

    >>> find("gce").__name__
    'GeneralizedCrossEntropyLoss'
    """
    import difflib

    names: dict[str, type[Loss]] = {}
    for cls in catalogue().values():
        for alias in (*cls.short, cls.__name__, cls.__name__.removesuffix("Loss"), function_name(cls)):
            names[_plain(alias)] = cls
    if _plain(name) in names:
        return names[_plain(name)]
    shown = {_plain(s): s for cls in catalogue().values() for s in (*cls.short, cls.__name__)}
    near = [shown[n] for n in difflib.get_close_matches(_plain(name), shown, 3, 0.5)]
    hint = f"Nearest: {', '.join(near)}. " if near else ""
    raise KeyError(f"There is no loss named {name!r}. {hint}`whyloss list` shows them all.")


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
