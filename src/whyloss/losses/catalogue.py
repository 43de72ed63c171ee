"""Every loss of the library, found by subclassing; names, short names and functional names."""

import re

from whyloss.losses import combined, imbalance, margin, proper, region, robust
from whyloss.losses.loss import Loss, RowLoss
from whyloss.losses.region import RegionLoss

FAMILIES = {
    "proper": proper,
    "robust": robust,
    "imbalance": imbalance,
    "margin": margin,
    "region": region,
    "combined": combined,
}


def catalogue() -> dict[str, type[RowLoss] | type[RegionLoss]]:
    """Class name -> class, family by family, in the order of definition."""
    return {
        name: cls
        for module in FAMILIES.values()
        for name, cls in vars(module).items()
        if isinstance(cls, type) and issubclass(cls, RowLoss | RegionLoss) and cls.__module__ == module.__name__
        if cls is not RegionLoss
    }


def family(cls: type[Loss]) -> str:
    return cls.__module__.rpartition(".")[2]


def function_name(cls: type[Loss]) -> str:
    """FocalLoss -> focal_loss, LDAMLoss -> ldam_loss, Poly1CrossEntropyLoss -> poly1_cross_entropy_loss."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()


def find(name: str) -> type[RowLoss] | type[RegionLoss]:
    """The loss with this class name, short name or functional name, in any spelling.

    >>> find("gce").__name__
    'GeneralizedCrossEntropyLoss'
    """
    import difflib

    names: dict[str, type[RowLoss] | type[RegionLoss]] = {}
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
