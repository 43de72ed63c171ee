"""A loss of plain targets, by the shortest way.

The door (rows.py) asks some dozens of questions about a loss and what it is given, which takes longer than a small loss
does. While the loss and the kind of its tensors stay the same, so do the answers: they are kept here. On the CPU one
look finds targets plain, none of them ignored; on a GPU kernels see to that."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from whyloss.losses import checks
from whyloss.losses import rows as door
from whyloss.stats import engine
from whyloss.stats.autocast import without_autocast

if TYPE_CHECKING:
    from whyloss.losses.loss import RowLoss

TENSORS = (Tensor, nn.Parameter)  # not what only looks like one
LABELS = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.uint16, torch.uint32, torch.uint64)
KEPT = 256
FEW = 2**16  # logits that are copied in less time than the door takes
_plans: dict[Any, "tuple[list[Any], list[Any], engine.Plain | engine.Early | engine.Dense | None]"] = {}


def reduced(loss: "RowLoss", logits: Tensor, target: Tensor, of_rows: Tensor | None = None) -> Tensor | None:
    """The loss, each row for 1 or for a weight of its own; None where the door is the way."""
    if torch.compiler.is_compiling() or type(logits) not in TENSORS or type(target) is not Tensor:
        return None
    if logits.is_cpu and torch.is_autocast_enabled("cpu"):
        with without_autocast("cpu"):
            return reduced(loss, logits, target, of_rows)
    if target.dtype in LABELS and loss.link == "softmax":
        target = target.long()
    if not _fits(logits, target, loss.link == "sigmoid"):
        return None
    kernels = logits.is_cuda or loss.engine == "triton"
    if not kernels and not _on_cpu(loss, logits):
        return None
    if kernels and (of_rows is not None or loss.reduction != "mean"):
        return None
    if of_rows is not None and not _weighs(of_rows, target):
        return None
    count, classes = logits.shape[:2] if logits.ndim > 1 else (1, 1)
    # The key says whatever kernels are compiled differently for.
    kinds = (logits.ndim, logits.dtype, target.dtype, engine.small(logits))
    key = (loss.state, classes, count == 1, count % 16 == 0, *kinds, logits.get_device())
    found = _plans.get(key)
    if found is not None and any(a is not b for a, b in zip(found[1], _read(found[0]), strict=True)):
        found = None
    plan = None if found is None else found[2]
    if found is not None and plan is None:
        return None
    # A few rows see for themselves what is no label; they are looked at if one was.
    few = plan.of_few(logits) if isinstance(plan, engine.Dense) else None
    sighted = few is not None and few.trusts
    if not kernels and not sighted and not _plain(loss, logits, target):
        return _of_the_others(loss, logits, target, of_rows)
    if plan is None:
        plan = _planned(key, loss, logits, target)[2]
        few = plan.of_few(logits) if isinstance(plan, engine.Dense) else None
    if not isinstance(plan, engine.Dense):
        return None if plan is None or loss.weight is not None else plan.mean(logits, target)
    given = (loss.reduction, loss.weight, of_rows)
    if few is not None and (value := few.reduced(logits, target, *given)) is not None:
        return value
    if sighted and not _plain(loss, logits, target):
        return _of_the_others(loss, logits, target, of_rows)
    return plan.reduced(logits, target, *given)


def _weighs(of_rows: Tensor, target: Tensor) -> bool:
    """Whether these are one weight a row, and nothing else."""
    plain = type(of_rows) is Tensor and of_rows.is_floating_point() and not of_rows.requires_grad
    return plain and of_rows.is_cpu and of_rows.shape == target.shape


def _of_the_others(loss: "RowLoss", logits: Tensor, target: Tensor, of_rows: Tensor | None) -> Tensor | None:
    """The loss without the rows that are ignored, where it costs little to leave these out."""
    rows = loss.link == "softmax" and logits.ndim == 2 and loss.engine == "auto"
    if not rows or logits.numel() > FEW or not checks.looks(loss, target):
        return None
    kept = (target != loss.ignore_index).nonzero().squeeze(1)
    if not 0 < len(kept) < len(target):
        return None
    of_rows = None if of_rows is None else of_rows.index_select(0, kept)
    value = reduced(loss, logits.index_select(0, kept), target.index_select(0, kept), of_rows)
    if value is None or loss.reduction != "none":
        return value
    return value.new_zeros(len(target)).index_copy(0, kept, value)


def _fits(logits: Tensor, target: Tensor, questions: bool) -> bool:
    if questions:
        fits = (
            logits.ndim > 0
            and target.shape == logits.shape
            and (target.dtype == torch.int64 or target.is_floating_point())
        )
    else:
        fits = target.dtype == torch.int64 and logits.ndim > 1 and _labels(logits, target)
    return (
        fits
        and target.get_device() == logits.get_device()
        and logits.numel() > 0
        and logits.is_contiguous()
        and target.is_contiguous()
        and not target.requires_grad
        and not engine.transforming()
    )


def _on_cpu(loss: "RowLoss", logits: Tensor) -> bool:
    return loss.engine != "reference" and logits.is_cpu


def _plain(loss: "RowLoss", logits: Tensor, target: Tensor) -> bool:
    """Whether one look finds labels, every one of which counts."""
    if loss.link == "softmax":
        return checks.plain_labels(loss, target, logits.shape[1])
    flat = target.reshape(-1)
    return checks.zeros_and_ones(loss, flat) if target.is_floating_point() else checks.plain_labels(loss, flat, 2)


def _labels(logits: Tensor, target: Tensor) -> bool:
    shape = logits.shape
    return target.shape == (shape[:1] if len(shape) == 2 else (*shape[:1], *shape[2:]))


def _planned(key: Any, loss: "RowLoss", logits: Tensor, target: Tensor) -> Any:
    """Asks the door, and keeps what it says, beside what the formula finds elsewhere, of which no state speaks."""
    if len(_plans) >= KEPT:
        _plans.clear()
    places = [place for formula in loss.formulas() if formula is not None for place in _places(loss, formula.function)]
    entered, weight = door.enter(loss, logits, target, None), loss.weight
    # Weights of yes-or-no questions may be of any shape that broadcasts; the key speaks of these.
    usual = weight is not None and (loss.link == "softmax" or weight.ndim == 1 or weight.ndim == logits.ndim == 2)
    weighted = weight is not None and usual and not weight.requires_grad
    plan = engine.plain(
        entered.z, entered.rows, loss.engine, torch.nan if loss.empty == "nan" else 0.0, loss.ignore_index, weighted
    )
    held = (*loss._buffers.values(), *loss._parameters.values())  # pyright: ignore
    own = any(x is not None and not (weighted and x is weight) for x in held)
    _plans[key] = (places, _read(places), None if own or loss._modules else plan)  # pyright: ignore
    return _plans[key]


def _places(loss: "RowLoss", formula: Callable[..., Any]) -> list[tuple[Mapping[str, Any], str]]:
    """The globals and class attributes that a formula may read."""
    function = getattr(formula, "__func__", formula)
    code = getattr(function, "__code__", None)
    if code is None:
        return []
    return [(place, name) for place in (function.__globals__, vars(type(loss))) for name in code.co_names]


def _read(places: list[tuple[Mapping[str, Any], str]]) -> list[Any]:
    return [place.get(name) for place, name in places]
