"""Which engine computes a loss, and why. The one place that chooses."""

import warnings
from dataclasses import replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from torch._C import _functorch  # pyright: ignore

from whyloss.stats import binary, dense, elementwise, kernels, reference
from whyloss.stats.dense import computing
from whyloss.stats.few import Few, weights_of_rows
from whyloss.stats.kernels import binary as triton_binary
from whyloss.stats.kernels import rows as triton
from whyloss.stats.rows import Rows, computing_dtype, flat

if TYPE_CHECKING:
    from whyloss.stats.kernels.plain import Early as Early
    from whyloss.stats.kernels.plain import Plain as Plain

# Logits of which a second reading is as good as free, from the second-level cache, and rows that one program sums.
PLAIN_BYTES, PLAIN_ROWS = 2**24, 2**13
Engine = Literal["auto", "reference", "dense", "triton"]


def total(z: Tensor, rows: Rows, engine: Engine = "auto", share: Tensor | None = None) -> Tensor:
    """The sum of the weighted losses, times `share`, a scalar in the computing dtype. Logits [N, C] are rows, logits
    [N, C, P] pixels, taken as they lie by engines, and logits [N] questions of the sigmoid link."""
    name, _ = choose(z, rows, engine)
    late = share is not None and share.requires_grad
    if name == "reference":
        value, late = _reference(z, rows).sum(), share is not None
    elif name == "dense":
        value = _dense(z).total(z, rows, None if late else share)
    else:
        value = _kernels(z).total(z, rows, None if late else share)
    return value * share if late and share is not None else value


def each(z: Tensor, rows: Rows, engine: Engine = "auto") -> Tensor:
    """[N] weighted losses, in the computing dtype."""
    name, _ = choose(z, rows, engine)
    if name == "reference":
        return _reference(z, rows)
    return _dense(z).each(z, rows) if name == "dense" else _kernels(z).each(z, rows)


def _reference(z: Tensor, rows: Rows) -> Tensor:
    return (reference.binary_losses if z.ndim == 1 else reference.row_losses)(computing(flat(z)), rows)


def _dense(z: Tensor) -> Any:
    return elementwise if z.ndim == 1 else dense


def _kernels(z: Tensor) -> Any:
    return triton_binary if z.ndim == 1 else triton


def choose(z: Tensor, rows: Rows, engine: Engine = "auto") -> tuple[str, str]:
    """The engine's name, and the reason in words."""
    if engine == "reference":
        return "reference", "asked for by name"
    if engine != "auto":
        reason = obstacle(z, rows) if engine == "dense" else obstacle_to_kernels(z, rows)
        if reason:
            raise ValueError(f"engine={engine!r} cannot compute this: {reason}. Use engine='auto' or 'reference'.")
        return engine, "asked for by name"
    if z.device.type == "cpu":
        reason = obstacle(z, rows)
        return ("reference", reason) if reason else ("dense", f"logits on the CPU: {_passes(z)} in cache-sized blocks")
    reason = obstacle_to_kernels(z, rows)
    if reason and z.device.type == "cuda" and reason == kernels.absent(z.device):
        _say(reason)
    return ("reference", reason) if reason else ("triton", "logits on a GPU: loss and gradient in one kernel")


def _passes(z: Tensor) -> str:
    return "one short program" if z.ndim == 1 else "two passes"


def obstacle(z: Tensor, rows: Rows) -> str:
    """Why the dense engine does not fit, or nothing."""
    found = _beyond(z, rows)
    if not found and z.device.type != "cpu":
        return f"the logits are on {z.device.type}; the dense engine is for the CPU"
    return found


def obstacle_to_kernels(z: Tensor, rows: Rows) -> str:
    """Why the Triton engine does not fit, or nothing."""
    found = _beyond(z, rows) or kernels.absent(z.device)
    if found or z.ndim == 1:
        return found
    if triton.source(rows) is None:
        return "a statistic of this loss cannot be summed in a kernel"
    return ""


def reads_planes(logits: Tensor, engine: Engine) -> bool:
    """Whether logits [N, C, *pixels] may be read as they lie, so that no copy with the classes last is needed."""
    if engine == "auto":
        return logits.device.type in ("cpu", "cuda") and not torch.compiler.is_compiling()
    return engine != "reference"


def looks_at_labels(logits: Tensor, engine: Engine) -> bool:
    """Whether labels may come as they are (`Rows.ignore`): kernels see themselves which rows are ignored."""
    wanted = engine == "triton" or (engine == "auto" and logits.is_cuda)
    # In this order: the compiler cannot follow the question about transforms.
    return wanted and not torch.compiler.is_compiling() and not transformed(logits)


def share(rows: Rows, empty: float, dtype: torch.dtype) -> Tensor | None:
    """One over the number of rows that count, in one kernel; None where that is not the quickest way."""
    target = rows.label if rows.mix is None else rows.mix
    if rows.ignore is None or target is None or rows.weight is not None or transformed(target):
        return None
    if kernels.absent(target.device) or not target.is_contiguous():
        return None
    from whyloss.stats.kernels import means

    return means.share_of_each(target, rows.ignore, empty, dtype)


def small(z: Tensor) -> bool:
    """Whether rows of logits are so few that the host takes longer than the GPU."""
    return 0 < z.shape[0] <= PLAIN_ROWS and z.numel() * z.element_size() <= PLAIN_BYTES


def plain(
    z: Tensor, rows: Rows, engine: Engine, empty: float, ignore: int, weighted: bool = False
) -> "Plain | Early | Dense | None":
    """How a loss is made of these logits, as the door has left them, and of all of their kind, if there is a short
    way; with kernels, its mean. `empty`: the mean of nothing. ignore: the label of rows that do not count. weighted:
    the rows' weights are those of their classes, which `Dense` is given."""
    if weighted:
        rows = replace(rows, weight=None, keep=None)
    bare = (rows.weight, rows.keep, rows.shift, rows.scale, rows.margin, rows.table, rows.offset, rows.smoothing)
    if rows.inplace or any(x is not None for x in bare):
        return None
    if z.device.type == "cpu" and engine != "triton":
        if rows.every_label or choose(z, rows, engine)[0] != "dense":
            return None
        return Dense(_dense(z), rows, Few(rows, ignore) if engine == "auto" and z.ndim > 1 else None)
    if rows.ignore is None or weighted:
        return None
    if choose(z, rows, engine)[0] != "triton":
        return None
    from whyloss.stats.kernels import launch
    from whyloss.stats.kernels.plain import Early, Plain, Questions

    # Float16 cannot hold gradients that are divided by many rows: a loss scaler must have its say before.
    early = z.dtype != torch.float16
    if z.ndim == 1:
        return Questions(rows, z, empty) if early else None
    source = None if rows.normalized else triton.source(rows)
    if source is None or source.statistics is not None:
        return None
    if small(z) and z.ndim == 2 and z.shape[1] <= launch.SMALL:
        return Plain(source, replace(rows, label=None), z, empty)
    return Early(source, rows, z, empty) if early and (z.ndim == 3 or z.shape[1] < triton.WIDE) else None


class Dense:
    """How the dense engine makes a loss of labels, every one of which counts: for 1, or for the weight of its class,
    [C], or its own, [N], or both."""

    def __init__(self, way: Any, rows: Rows, few: Few | None):
        self.way, self.rows, self.questions = way, replace(rows, label=None), way is elementwise
        self.few = few

    def of_few(self, z: Tensor) -> Few | None:
        """What makes it of as few rows as these."""
        return self.few if self.few is not None and self.few.fits(z) else None

    def reduced(
        self, z: Tensor, label: Tensor, how: str, weight: Tensor | None, of_rows: Tensor | None
    ) -> Tensor | None:
        """As a "mean", a "sum" or "none". None where a row counts for nothing."""
        shape, dtype = label.shape, computing_dtype(z)
        counts = (_weights_of_questions if self.questions else weights_of_rows)(label, weight, of_rows, dtype)
        if counts is not None and not counts.amin().item() > 0:
            return None
        if self.questions or z.ndim > 2:
            z, label = z.reshape(-1) if self.questions else z.flatten(2), label.reshape(-1)
            counts = None if counts is None else counts.reshape(-1)
        rows = self.rows.of_labels(label) if counts is None else self.rows.of_labels(label, counts)
        if how == "none":
            return self.way.each(z, rows).view(shape)
        if how == "sum":
            return self.way.total(z, rows)
        return self.way.total(z, rows, _share(len(label), dtype) if counts is None else counts.sum().reciprocal())


def _weights_of_questions(
    label: Tensor, weight: Tensor | None, of_rows: Tensor | None, dtype: torch.dtype
) -> Tensor | None:
    """As `weights_of_rows`, for labels of yes or no, and weights [..., 2] of both."""
    own = None if of_rows is None else of_rows.to(dtype)
    if weight is None:
        return own
    negative, positive = weight.detach().to(dtype).unbind(-1)
    counts = torch.where(label != 0, positive, negative)
    return counts if own is None else counts * own


@lru_cache(maxsize=64)
def _share(count: int, dtype: torch.dtype) -> Tensor:
    """Of one row in the mean."""
    with torch.inference_mode(False):
        return torch.full((), 1 / count, dtype=dtype, device="cpu")


def _beyond(z: Tensor, rows: Rows) -> str:
    """What only plain differentiable operations can do, or nothing."""
    if torch.compiler.is_compiling():
        return "inside torch.compile, whose own fusion takes the place of an engine"
    if transformed(z):
        return "inside a torch.func transform, which needs plain differentiable operations"
    spread = None if rows.smoothing is None else rows.smoothing.weight
    extra = (rows.mix, spread, rows.weight, rows.offset, rows.shift, rows.scale, rows.margin, rows.table)
    if rows.learnable or any(isinstance(x, Tensor) and x.requires_grad for x in extra):
        return "something besides the logits needs a gradient"
    if z.ndim == 1 and any(x is not None and transformed(x) for x in (rows.label, rows.mix, rows.weight)):
        return "inside a torch.func transform, which needs plain differentiable operations"
    if z.ndim == 1 and binary.program(rows, endless=False) is None:
        return "the formula cannot be traced"
    return ""


@cache
def _say(reason: str) -> None:
    """Once: losses work without kernels, and nobody would notice why they are slow."""
    warnings.warn(f"whyloss computes losses on the GPU without its kernels: {reason}.", stacklevel=2)


def transforming() -> bool:
    """Whether a torch.func transform or forward-mode differentiation is under way, whatever it holds."""
    return _functorch.peek_interpreter_stack() is not None or torch.autograd.forward_ad._current_level >= 0  # pyright: ignore


def transformed(z: Tensor) -> bool:
    """Whether a torch.func transform or forward-mode differentiation is at work."""
    # The only question that torch answers about its own transforms; private there, and stable since torch 2.0.
    return bool(_functorch.is_functorch_wrapped_tensor(z)) or torch.autograd.forward_ad._current_level >= 0  # pyright: ignore
