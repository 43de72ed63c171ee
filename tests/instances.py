"""Instances of every loss that exists, found by subclassing and built from its fields; and the random rows they read.

A loss added tomorrow is in the suite without being named here: its number fields are varied about their defaults (what
its own checks refuse is left out), and per-class fields get numbers of the right shape."""

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

import whyloss.losses
from whyloss.losses.loss import Loss, RowLoss
from whyloss.losses.region import RegionLoss
from whyloss.stats.kernels import absent
from whyloss.stats.table import needed

for _module in pkgutil.iter_modules(whyloss.losses.__path__):
    importlib.import_module(f"whyloss.losses.{_module.name}")

# In Triton's interpreter, or on a GPU (make test-kernels, make test-gpu).
KERNELS = () if absent(torch.get_default_device()) else ("triton",)
OPTIONS = {*RowLoss.fields(), *RegionLoss.fields()}


def subclasses(cls: type) -> Iterator[type]:
    for sub in cls.__subclasses__():
        yield sub
        yield from subclasses(sub)


def losses() -> list[type[Loss]]:
    """Every loss of the library: what derives from Loss in its families, the base classes and sums aside."""
    bases = {"RowLoss", "RegionLoss", "RowSum", "LossSum"}
    found = [c for c in subclasses(Loss) if c.__module__.startswith("whyloss.losses") and c.__name__ not in bases]
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class Case:
    """A loss with its number fields set; per-class fields are made when the number of classes is known."""

    cls: type[Any]
    numbers: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.cls.__name__ + "".join(f",{k}={v}" for k, v in self.numbers.items())

    def build(self, classes: int = 4, order: Tensor | None = None, **options: Any) -> Any:
        """The loss for this many classes; `order` permutes what it knows of them."""
        own = {n: _per_class(n, classes, order) for n in self.cls.fields() if n in ("counts", "transition")}
        return self.cls(**own, **self.numbers, **options)

    @property
    def links(self) -> tuple[str, ...]:
        return self.cls.links

    @property
    def engines(self) -> tuple[str, ...]:
        return ("reference", *KERNELS) if self.cls.normalized else ("reference", "dense", *KERNELS)

    @property
    def binary_engines(self) -> tuple[str, ...]:
        """Those of the sigmoid link."""
        return ("reference", "dense", *KERNELS)

    @property
    def reads_raw_logits(self) -> bool:
        """Whether a constant added to all logits may change the loss."""
        return bool({"rest_lse", "rest_z_sq"} & set(needed(frozenset(self.cls.statistics))))

    @property
    def reads_log_odds_alone(self) -> bool:
        return needed(frozenset(self.cls.statistics)) in (("log_odds",), ("label", "log_odds"))


def _per_class(name: str, classes: int, order: Tensor | None) -> Tensor:
    if name == "counts":
        value = 100.0 * 0.6 ** torch.arange(classes, dtype=torch.float64)
        return value if order is None else value[order]
    generator = torch.Generator().manual_seed(1)
    noise = torch.rand(classes, classes, generator=generator, dtype=torch.float64)
    value = 0.7 * torch.eye(classes, dtype=torch.float64) + 0.3 * noise / noise.sum(1, keepdim=True)
    return value if order is None else value[order][:, order]


def _cases(cls: type[Any]) -> list[Case]:
    found = [Case(cls)]
    for name, entry in cls.fields().items():
        if name in OPTIONS or not isinstance(entry.default, int | float):
            continue
        tried = [entry.default]
        for value in (0.0, 0.5, entry.default * 2, entry.default / 2, 1.0):
            value = type(entry.default)(value)
            if value in tried or len(tried) == 4:
                continue
            case = Case(cls, {name: value})
            try:
                case.build()
            except ValueError:
                continue
            tried.append(value)
            found.append(case)
    return found


ALL = [case for cls in losses() for case in _cases(cls)]
ROWS = [case for case in ALL if issubclass(case.cls, RowLoss)]
SOFTMAX = [case for case in ROWS if "softmax" in case.links]
SIGMOID = [case for case in ROWS if "sigmoid" in case.links]
REGIONS = [case for case in ALL if case.cls.forward is RegionLoss.forward]  # test_combined.py has the sums


def defaults(cases: list[Case]) -> list[Case]:
    """One case for each class: for tests that the numbers do not matter to."""
    return [case for case in cases if not case.numbers]


def rows(
    count: int = 6, classes: int = 4, scale: float = 2.0, dtype: torch.dtype = torch.float64, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Logits of mixed size, each row with its own spread about `scale`, and labels that go round the classes."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(count, classes, generator=generator, dtype=torch.float64)
    spread = scale * torch.logspace(-1, 1, count, base=3, dtype=torch.float64).unsqueeze(1)
    y = torch.arange(count) % classes
    return (z * spread).to(dtype), y[torch.randperm(count, generator=generator)]


def soft(count: int = 6, classes: int = 4, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    """Random distributions over the classes, some nearly one-hot and some nearly flat."""
    generator = torch.Generator().manual_seed(seed)
    spread = torch.logspace(-1, 1, count, dtype=torch.float64).unsqueeze(1)
    return torch.softmax(torch.randn(count, classes, generator=generator, dtype=torch.float64) * spread, 1).to(dtype)


def value_and_gradient(loss: Any, z: Tensor, target: Tensor, **call: Any) -> tuple[Tensor, Tensor]:
    z = z.detach().clone().requires_grad_()
    value = loss(z, target, **call)
    (gradient,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), gradient
