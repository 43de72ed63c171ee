"""Instances of every loss that exists, found by subclassing and built from its fields; and the random rows they read.

A loss added tomorrow is in the suite without being named here: its number fields are varied about their defaults (what
its own checks refuse is left out), and per-class fields get numbers of the right shape."""

import importlib
import os
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

import whyloss.losses
from whyloss.losses.batch import BatchLoss
from whyloss.losses.continuous import BinnedLoss
from whyloss.losses.continuous.bins import Bins
from whyloss.losses.imbalance.confusion import ConfusionLoss
from whyloss.losses.imbalance.ranking import RankingLoss
from whyloss.losses.label_sets import LabelSetLoss
from whyloss.losses.loss import LabelledLoss, Loss, RowLoss
from whyloss.losses.region import PairLoss, RegionLoss, RegionMapLoss
from whyloss.losses.relations import ThresholdLoss, WordTreeLoss
from whyloss.losses.relations.tree import Tree
from whyloss.losses.whole import WholeRowLoss
from whyloss.stats.kernels import absent
from whyloss.stats.table import needed

for _module in pkgutil.walk_packages(whyloss.losses.__path__, "whyloss.losses."):
    importlib.import_module(_module.name)

# In Triton's interpreter, or on a GPU (make test-kernels, make test-gpu).
KERNELS = () if absent(torch.get_default_device()) else ("triton",)
BASES = (
    LabelledLoss,
    RowLoss,
    WholeRowLoss,
    RegionLoss,
    RegionMapLoss,
    PairLoss,
    LabelSetLoss,
    BatchLoss,
    BinnedLoss,
    RankingLoss,
    ConfusionLoss,
)
OPTIONS = {name for base in BASES for name in base.fields()}


def subclasses(cls: type) -> Iterator[type]:
    for sub in cls.__subclasses__():
        yield sub
        yield from subclasses(sub)


def losses() -> list[type[Loss]]:
    """Every loss of the library: what derives from Loss in its families. A base class has no short name of its own."""
    found = [c for c in subclasses(Loss) if c.__module__.startswith("whyloss.losses.")]
    return [c for c in dict.fromkeys(found) if "short" in vars(c) and not c.__name__.startswith("_")]


@dataclass(frozen=True)
class Case:
    """A loss with its number fields set; per-class fields are made when the number of classes is known."""

    cls: type[Any]
    numbers: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.cls.__name__ + "".join(f",{k}={v}" for k, v in self.numbers.items())

    def build(self, classes: int = 4, order: Tensor | None = None, **options: Any) -> Any:
        """The loss for this many classes; `order` permutes what it knows of them."""
        own = {n: PER_CLASS[n](classes, order) for n in self._per_class if n not in self.numbers}
        if "link" not in self.cls.fields():
            options.pop("link", None)
        loss = self.cls(**own, **self.numbers, **options)
        return loss.eval() if self.cls.stateful else loss  # what it remembers stays what it is

    def logits(self, z: Tensor) -> Tensor:
        """What the loss takes in place of logits [N, C] of C classes."""
        if issubclass(self.cls, WordTreeLoss):
            return torch.cat([z, z.flip(1)], 1)[:, : self.entries(z.shape[1])]
        if not issubclass(self.cls, ThresholdLoss):
            return z
        return z[:, :-1].sort(1, descending=True).values if self.cls.falling else z[:, :-1]

    def entries(self, classes: int) -> int:
        """How many things a target may name: entries of a soft target, and of class weights."""
        return _tree(classes, None).nodes if "tree" in self.cls.fields() else classes

    def reads(self, shape: torch.Size, link: str = "softmax") -> dict[str, Tensor]:
        """What a call takes besides, for targets of this shape."""
        return {name: READ[name](shape, link) for name in self.cls.reads}

    @property
    def knows_classes(self) -> bool:
        """Whether it holds a number for each class, so that it fits one number of classes alone."""
        return bool(self._per_class)

    @property
    def _per_class(self) -> list[str]:
        """Its fields that depend on the number of classes; a number of the same name (`bins`) is none of them."""
        return [n for n, f in self.cls.fields().items() if n in PER_CLASS and not isinstance(f.default, int | float)]

    @property
    def links(self) -> tuple[str, ...]:
        return getattr(self.cls, "links", (getattr(self.cls, "link", "softmax"),))

    def call(self, link: str) -> tuple[Any, list[Tensor], int, dict[str, Tensor]]:
        """A call of the loss, whatever its kind: float32 logits, the kinds of target it takes, the number of classes or
        labels to build it for, and what the call takes besides."""
        if issubclass(self.cls, RegionLoss):
            label = torch.randint(0, 3, (2, 4)) if link == "softmax" else torch.randint(0, 2, (2, 3, 4))
            return torch.randn(2, 3, 4), [label], 3, {}
        z, y = rows(dtype=torch.float32)
        answers = (torch.arange(24) % 3 % 2).reshape(6, 4)
        if issubclass(self.cls, BinnedLoss):
            return z, [torch.linspace(-1, 4, 6)], 4, {}
        if issubclass(self.cls, LabelSetLoss):
            return z, [answers, answers.float()], 4, {}
        if link == "sigmoid":
            return z, [answers], 4 if issubclass(self.cls, BatchLoss) else 2, self.reads(z.shape, link)
        mixed = soft(classes=self.entries(4), dtype=torch.float32)
        return self.logits(z), [y, mixed], 4, self.reads(y.shape)

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
        if self._has_scales and len(set(self.build().adjust.scale.tolist())) > 1:
            return True
        adjust = self.build().adjust
        if adjust is not None and adjust.rewrites:
            return True
        return bool({"rest_lse", "rest_z_sq"} & set(needed(frozenset(self.cls.statistics))))

    @property
    def reads_cosines(self) -> bool:
        """Whether it must be told what the label's angle is; a constant added to cosines may then change the loss."""
        return self.cls.cosines and "logit" in needed(frozenset(self.cls.statistics))

    @property
    def _has_scales(self) -> bool:
        """Whether it scales the logits class by class."""
        return isinstance(getattr(self.build().adjust, "scale", None), Tensor)

    @property
    def reads_log_odds_alone(self) -> bool:
        return needed(frozenset(self.cls.statistics)) in (("log_odds",), ("label", "log_odds"))


def _counts(classes: int, order: Tensor | None) -> Tensor:
    value = 100.0 * 0.6 ** torch.arange(classes, dtype=torch.float64)
    return value if order is None else value[order]


def _transition(classes: int, order: Tensor | None) -> Tensor:
    generator = torch.Generator(torch.get_default_device()).manual_seed(1)
    noise = torch.rand(classes, classes, generator=generator, dtype=torch.float64)
    value = 0.7 * torch.eye(classes, dtype=torch.float64) + 0.3 * noise / noise.sum(1, keepdim=True)
    return value if order is None else value[order][:, order]


def _distances(classes: int, order: Tensor | None) -> Tensor:
    """Of classes on a line, all of them farthest from class 0."""
    at = torch.arange(classes, dtype=torch.float64)
    value = (at - at.unsqueeze(1)).abs() / classes
    value[0, 1:] = value[1:, 0] = 1
    return value if order is None else value[order][:, order]


def _cost(classes: int, order: Tensor | None) -> Tensor:
    generator = torch.Generator(torch.get_default_device()).manual_seed(2)
    value = torch.rand(classes, classes, generator=generator, dtype=torch.float64) + 0.5
    value.fill_diagonal_(0)
    return value if order is None else value[order][:, order]


def _distance(classes: int, order: Tensor | None) -> Tensor:
    return (lambda d: d + d.T)(_cost(classes, order))


def _tree(classes: int, order: Tensor | None) -> Tree:
    """Two branches, one of them with a branch of its own; the last class hangs beside that."""
    names = [str(i) for i in range(classes)]
    return Tree({"left": names[: classes // 2], "right": {"far": names[classes // 2 : -1], names[-1]: {}}})


def _views(shape: torch.Size, link: str) -> Tensor:
    """The logits of two more views, of four classes or of answers."""
    generator = torch.Generator(torch.get_default_device()).manual_seed(2)
    each = (2, 4) if link == "softmax" else (2,)
    return torch.randn(*shape, *each, generator=generator, dtype=torch.float64)


# What a field of this name gets, for a number of classes and an order of them.
PER_CLASS: dict[str, Callable[[int, Tensor | None], Any]] = {
    "counts": _counts,
    "frequency": lambda classes, order: _counts(classes, order) / 5e4,
    "transition": _transition,
    "cost": _cost,
    "distance": _distance,
    "tree": _tree,
    "bins": lambda classes, order: Bins.atoms(0, classes - 1, classes),
    "samples": lambda classes, order: 1000,
    "prior": lambda classes, order: 0.4,
    "classes": lambda classes, order: classes,
    "features": lambda classes, order: 3,
    "distances": _distances,
    "teacher": lambda classes, order: "probabilities",  # so that the suite's soft targets mean what they say
    "hidden_size": lambda classes, order: 6,
    "cutoffs": lambda classes, order: (2,),
}


def _spaced(shape: torch.Size, low: float, high: float) -> Tensor:
    return torch.linspace(low, high, shape.numel(), dtype=torch.float64).reshape(shape)


# What a call takes besides, by name, for targets of a shape.
READ: dict[str, Callable[[torch.Size, str], Tensor]] = {
    "views": _views,
    "index": lambda shape, link: torch.arange(shape.numel()).reshape(shape),
    "complement": lambda shape, link: (torch.arange(shape.numel()) // 2 % 2).reshape(shape),
    "labels": lambda shape, link: torch.arange(shape.numel()).reshape(shape) % (4 if link == "softmax" else 2),
    "features": lambda shape, link: _spaced(torch.Size((*shape, 3)), -2.0, 3.0),
    "norm": lambda shape, link: _spaced(shape, 0.5, 60.0),
    "feature": lambda shape, link: _spaced(torch.Size((*shape, 3)), -2.0, 3.0),
}


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


ALL = [case for cls in losses() if not cls.head for case in _cases(cls)]
ROWS = [case for case in ALL if issubclass(case.cls, RowLoss)]
SOFTMAX = [case for case in ROWS if "softmax" in case.links]
SIGMOID = [case for case in ROWS if "sigmoid" in case.links]
WHOLE = [case for case in ALL if issubclass(case.cls, WholeRowLoss)]
LABEL_SETS = [case for case in ALL if issubclass(case.cls, LabelSetLoss)]
NUMBERS = [case for case in ALL if issubclass(case.cls, BinnedLoss)]
BATCHES = [case for case in ALL if issubclass(case.cls, BatchLoss)]
REGIONS = [case for case in ALL if case.cls.forward is RegionLoss.forward]  # test_combined.py has the sums
OVERLAPS = [case for case in REGIONS if case.cls.of_sums and not case.cls.joint]  # of I, P and T
SOFTMAX_REGIONS = [case for case in REGIONS if "softmax" in case.links]


def defaults(cases: list[Case]) -> list[Case]:
    """One case for each class: for tests that the numbers do not matter to."""
    return [case for case in cases if not case.numbers]


def thinned(cases: list[Case], *more: Any) -> list[Any]:
    """The cases as parameters, with `more` beside each. In Triton's interpreter, where a program takes as long as a
    thousand on a GPU, those are slow that read no statistic which one before them does not read."""
    found, params = set[str](), list[Any]()
    for case in cases:
        read = set(case.cls.statistics) if issubclass(case.cls, RowLoss) else set[str]()
        slow = os.environ.get("TRITON_INTERPRET") == "1" and read <= found
        found |= read
        params.append(
            pytest.param(case, *more, marks=pytest.mark.slow if slow else (), id="-".join(map(str, (case, *more))))
        )
    return params


def rows(
    count: int = 6, classes: int = 4, scale: float = 2.0, dtype: torch.dtype = torch.float64, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Logits of mixed size, each row with its own spread about `scale`, and labels that go round the classes."""
    generator = torch.Generator(torch.get_default_device()).manual_seed(seed)
    z = torch.randn(count, classes, generator=generator, dtype=torch.float64)
    spread = scale * torch.logspace(-1, 1, count, base=3, dtype=torch.float64).unsqueeze(1)
    y = torch.arange(count) % classes
    return (z * spread).to(dtype), y[torch.randperm(count, generator=generator)]


def soft(count: int = 6, classes: int = 4, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    """Random distributions over the classes, some nearly one-hot and some nearly flat."""
    generator = torch.Generator(torch.get_default_device()).manual_seed(seed)
    spread = torch.logspace(-1, 1, count, dtype=torch.float64).unsqueeze(1)
    return torch.softmax(torch.randn(count, classes, generator=generator, dtype=torch.float64) * spread, 1).to(dtype)


def value_and_gradient(loss: Any, z: Tensor, target: Tensor, **call: Any) -> tuple[Tensor, Tensor]:
    z = z.detach().clone().requires_grad_()
    value = loss(z, target, **call)
    (gradient,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), gradient


def times(loss: Any, upstream: Tensor) -> Any:
    """The loss as a function of (logits, target, sample_weight) whose result gets this gradient."""

    def of(z: Tensor, y: Tensor, sample_weight: Tensor | None) -> Tensor:
        return loss(z, y, sample_weight) * upstream

    return of


def keeps_its_slopes(loss: Any, z: Tensor, y: Tensor) -> None:
    """Whoever changes single losses in place does not change what their gradient is made of."""
    expected = value_and_gradient(loss, z, y)[1]
    leaf = z.clone().requires_grad_()
    losses = loss(leaf, y)
    losses.mul_(2.0)
    losses.sum().backward()
    torch.testing.assert_close(leaf.grad, 2 * expected, rtol=1e-5, atol=1e-9)


def steady(loss: Any, *call: Tensor, **more: Any) -> Any:
    """The loss with what its gradient takes as given (`held`) fixed at what it is for this call."""
    if not loss.held:
        return loss
    found: dict[str, Any] = {}

    def noted(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args: found.setdefault(name, method(*args))

    for name in loss.held:
        setattr(loss, name, noted(name, getattr(loss, name)))
    loss(*call, **more)
    return loss
