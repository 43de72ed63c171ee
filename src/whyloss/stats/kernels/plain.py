"""The mean of a loss by the shortest way on the host: a few kernels, and nothing else.

`Plain`: a small batch of labels, where the host takes longer than the GPU. Logits that stay in the second-level cache
are read as fast a second time. So the forward pass makes losses and their mean, and the backward pass the gradient, of
the logits again: no pass that only scales, no gradient that waits.

`Early`: whatever is larger. The gradient is made on the way forward, while the logits are near, and waits."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from whyloss.stats import reference
from whyloss.stats.kernels import binary, handles, launch, means
from whyloss.stats.kernels.rows import described
from whyloss.stats.kernels.source import Source
from whyloss.stats.rows import Rows, computing_dtype, flat

# One over what the mean divides by stands before the losses, which start at a multiple of 16 bytes.
AHEAD = 4

Run = Callable[..., None]


class Plain:
    """How the mean of a loss is made of contiguous logits [N, C] and int64 labels: for one dtype and device, one C, and
    all N that are alike to Triton (1, or multiples of 16, or not). `empty`: the mean of nothing, if it is not 0."""

    def __init__(self, source: Source, rows: Rows, z: Tensor, empty: float):
        self.rows, self.empty, self.exact, self.device = rows, empty, computing_dtype(z), z.get_device()
        self.classes, self.ahead = z.shape[1], AHEAD * self.exact.itemsize
        self.size, _ = launch.short_rows(z)
        made = launch.module(source.text, self.exact == torch.float64)
        forward, backward = ({**self.size, "GRADIENT": wanted, **launch.ALWAYS} for wanted in (False, True))
        self.kernels = (made.small, means.mean_of_losses, made.small)
        self.sizes = (forward, {**means.SUM, **launch.ALWAYS}, backward)
        self.runs: list[Run | None] = [None, None, None]

    def mean(self, z: Tensor, label: Tensor) -> Tensor:
        """Differentiable in the logits; outside of torch.func transforms."""
        return _mean(z, label, self)

    def forward(self, z: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """(the mean; one over what it divides by and, from AHEAD on, the losses)."""
        count = z.shape[0]
        kept = torch.empty(AHEAD + count, dtype=self.exact, device=z.device)
        value = torch.empty((), dtype=self.exact, device=z.device)
        a, y, k, v = z.data_ptr(), label.data_ptr(), kept.data_ptr(), value.data_ptr()
        direct, losses = self._direct(a | y | k | v), k + self.ahead
        self._start(
            0,
            self._grid(count),
            direct and self._of_rows(a, a, y, None, None, losses, count),
            lambda: self._of_rows(z, z, label, None, None, kept[AHEAD:], count),
        )
        self._start(
            1,
            (1,),
            direct and self._of_sum(losses, y, v, k, count),
            lambda: self._of_sum(kept[AHEAD:], label, value, kept, count),
        )
        return value, kept

    def gradient(self, z: Tensor, label: Tensor, kept: Tensor, upstream: Tensor) -> Tensor:
        """Of the mean times `upstream`."""
        count, out = z.shape[0], torch.empty_like(z)
        a, g, y, k, u = z.data_ptr(), out.data_ptr(), label.data_ptr(), kept.data_ptr(), upstream.data_ptr()
        direct = self._direct(a | g | y | k | u) and upstream.dtype == self.exact
        self._start(
            2,
            self._grid(count),
            direct and self._of_rows(a, g, y, k, u, k + self.ahead, count),
            lambda: self._of_rows(z, out, label, kept, upstream, kept[AHEAD:], count),
        )
        return out

    def _grid(self, count: int) -> tuple[int, ...]:
        return (-(-count // self.size["R"]),)

    def _of_rows(self, z: Any, out: Any, label: Any, share: Any, upstream: Any, losses: Any, count: int) -> Any:
        c, none = self.classes, (None,) * 5
        return z, out, label, None, self.rows.ignore, None, share, upstream, *none, losses, count, c, c, c

    def _of_sum(self, losses: Any, label: Any, value: Any, share: Any, count: int) -> Any:
        return losses, label, value, share, count, self.rows.ignore, self.empty

    def _direct(self, addresses: int) -> bool:
        """Whether nothing else can differ than what makes another `Plain`, and nobody watches."""
        return addresses & 15 == 0 and handles.direct(self.device)

    def _start(self, number: int, grid: tuple[int, ...], addresses: Any, tensors: Callable[[], Any]) -> None:
        run = self.runs[number]
        if addresses and run is not None:
            run(grid, self.device, addresses)
            return
        run = handles.start(self.kernels[number], grid, tensors(), self.sizes[number])
        if addresses:
            self.runs[number] = run


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, label: Tensor, plain: Plain) -> Tensor:
        value, kept = plain.forward(z, label)
        ctx.plain = plain
        ctx.save_for_backward(z, label, kept)
        return value

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (u,) = upstream
        z, label, kept = ctx.saved_tensors
        plain: Plain = ctx.plain
        if torch.is_grad_enabled():  # create_graph: the derivative itself must be differentiable
            losses = reference.row_losses(z.to(plain.exact), replace(plain.rows, label=label))
            (gradient,) = torch.autograd.grad(losses.sum() * kept[0], z, u, create_graph=True)
            return gradient, None, None
        return plain.gradient(z, label, kept, u), None, None


class Early:
    """The same for contiguous logits and targets of any number: rows [N, C] or pixels [N, C, *spatial] and their
    int64 labels."""

    def __init__(self, source: Source, rows: Rows, z: Tensor, empty: float):
        self.source, self.empty, self.exact = source, empty, computing_dtype(z)
        self.rows = replace(rows, label=None)
        self.row = described(self.rows)

    def mean(self, z: Tensor, target: Tensor) -> Tensor:
        """Differentiable in the logits; outside of torch.func transforms."""
        return _early(z, target, self, torch.is_grad_enabled())

    def take(self, z: Tensor, target: Tensor, out: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """(the mean, what the gradient in `out` is owed, if anything)."""
        share = self.share(target)
        return means.total(self.sweep(z, target, share, out), share), None

    def share(self, target: Tensor) -> Tensor:
        """One over what the mean divides by."""
        assert self.rows.ignore is not None
        return means.share_of_each(target, self.rows.ignore, self.empty, self.exact)

    def sweep(self, z: Tensor, target: Tensor, share: Tensor, out: Tensor | None) -> Tensor:
        """What adds up to the sum of the losses; the gradient of that sum times `share` into `out`."""
        row = {**self.row, "label": target.view(-1)}
        if z.ndim > 2:
            z, out = z.flatten(2), None if out is None else out.flatten(2)
            return launch.planes(self.source, z, row, out, share, summed=True)
        losses = torch.empty(z.shape[0], dtype=self.exact, device=z.device)
        launch.forward(self.source, z, row, losses, out, share, None)
        return losses

    def exactly(self, z: Tensor, target: Tensor) -> Tensor:
        """The losses in plain differentiable torch."""
        rows = replace(self.rows, label=target.reshape(-1))
        return reference.row_losses(flat(z.flatten(2) if z.ndim > 2 else z).to(self.exact), rows)


class Questions(Early):
    """The same for the sigmoid link: logits of any shape, and what each is asked, in the same shape. All are counted on
    the way; reading the targets twice would take half as long again."""

    def __init__(self, rows: Rows, z: Tensor, empty: float):
        self.empty, self.exact = empty, computing_dtype(z)
        self.wanted = "label" if rows.mix is None else "mix"
        self.rows = replace(rows, label=None, mix=None)
        self.text, names = binary.source(rows)
        self.row = described(self.rows) | {"upstream": None, "numbers": binary.number_of_each(rows, names, z)}

    def take(self, z: Tensor, target: Tensor, out: Tensor | None) -> tuple[Tensor, Tensor | None]:
        losses, counts = self._elementwise(z, target, None, out, counted=True)
        assert counts is not None
        return means.mean_of_parts(losses, counts, z.numel(), self.empty)

    def sweep(self, z: Tensor, target: Tensor, share: Tensor, out: Tensor | None) -> Tensor:
        return self._elementwise(z, target, share, out)[0]

    def _elementwise(self, z: Tensor, target: Tensor, share: Tensor | None, out: Tensor | None, **how: bool) -> Any:
        row = {**self.row, self.wanted: target.view(-1), "share": share}
        return launch.elementwise(self.text, z, row, out, summed=True, **how)

    def exactly(self, z: Tensor, target: Tensor) -> Tensor:
        rows = replace(self.rows, **{self.wanted: target.reshape(-1)})
        return reference.binary_losses(z.to(self.exact).reshape(-1), rows)


class _Early(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, target: Tensor, early: Early, gradients: bool) -> Tensor:
        out = torch.empty_like(z) if gradients and ctx.needs_input_grad[0] else None
        value, owed = early.take(z, target, out)
        ctx.early, ctx.gradient = early, out
        ctx.save_for_backward(z, target, owed)
        return value

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (u,) = upstream
        z, target, owed = ctx.saved_tensors
        early: Early = ctx.early
        if torch.is_grad_enabled():  # create_graph: the derivative itself must be differentiable
            value = early.exactly(z, target).sum() * early.share(target)
            (gradient,) = torch.autograd.grad(value, z, u, create_graph=True)
            return gradient, None, None, None
        # Whoever asks first gets the gradient itself; a second backward pass computes it again.
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:
            gradient = torch.empty_like(z)
            early.sweep(z, target, early.share(target) * u, gradient)
        else:
            launch.scale_(gradient, u, owed)
        return gradient, None, None, None


# What `Function.apply` calls once it has looked for torch.func transforms, of which there are none here.
_mean, _early = (super(torch.autograd.Function, kind).apply for kind in (_Mean, _Early))  # pyright: ignore
