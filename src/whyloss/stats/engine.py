"""Which engine computes a loss, and why. The one place that chooses."""

from typing import Literal

import torch
from torch import Tensor

from whyloss.stats import dense, reference
from whyloss.stats.dense import computing
from whyloss.stats.rows import Rows

Engine = Literal["auto", "reference", "dense"]


def total(z: Tensor, rows: Rows, engine: Engine = "auto", share: Tensor | None = None) -> Tensor:
    """The sum of the weighted row losses of logits [N, C], times `share`, a scalar in the computing dtype."""
    name, _ = choose(z, rows, engine)
    if name == "dense" and not (share is not None and share.requires_grad):
        return dense.total(z, rows, share)
    value = dense.total(z, rows) if name == "dense" else reference.row_losses(computing(z), rows).sum()
    return value if share is None else value * share


def each(z: Tensor, rows: Rows, engine: Engine = "auto") -> Tensor:
    """[N] weighted row losses of logits [N, C], in the computing dtype."""
    name, _ = choose(z, rows, engine)
    if name == "dense":
        return dense.each(z, rows)
    return reference.row_losses(computing(z), rows)


def binary(z: Tensor, rows: Rows) -> Tensor:
    """[N] weighted losses of the sigmoid link; elementwise, the same on every engine."""
    return reference.binary_losses(computing(z), rows)


def choose(z: Tensor, rows: Rows, engine: Engine = "auto") -> tuple[str, str]:
    """The engine's name, and the reason in words."""
    if engine == "reference":
        return "reference", "asked for by name"
    reason = obstacle(z, rows)
    if engine == "dense":
        if reason:
            raise ValueError(f"engine='dense' cannot compute this: {reason}. Use engine='auto' or 'reference'.")
        return "dense", "asked for by name"
    if reason:
        return "reference", reason
    return "dense", "logits on the CPU and one label a row: two passes in cache-sized blocks"


def obstacle(z: Tensor, rows: Rows) -> str:
    """Why the dense engine does not fit, or nothing."""
    if torch.compiler.is_compiling():
        return "inside torch.compile, whose own fusion takes the place of an engine"
    if transformed(z):
        return "inside a torch.func transform, which needs plain differentiable operations"
    if z.device.type != "cpu":
        return f"the logits are on {z.device.type}; the dense engine of this version is for the CPU"
    if rows.mix is not None or rows.normalized:
        return "the loss of every class as label is needed (soft target, or smoothing of a loss without a short form)"
    extra = (rows.weight, rows.offset, rows.shift, rows.scale, rows.margin, rows.table)
    if rows.learnable or any(isinstance(x, Tensor) and x.requires_grad for x in extra):
        return "something besides the logits needs a gradient"
    return ""


def transformed(z: Tensor) -> bool:
    """Whether a torch.func transform or forward-mode differentiation is at work."""
    # The only question that torch answers about its own transforms; private there, and stable since torch 2.0.
    from torch._C import _functorch  # pyright: ignore

    return bool(_functorch.is_functorch_wrapped_tensor(z)) or torch.autograd.forward_ad._current_level >= 0  # pyright: ignore
