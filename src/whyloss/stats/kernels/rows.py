"""The Triton engine for rows of logits that exist: an autograd function around the kernels.

With a mean or a sum the gradient is made in the forward pass, while the row is near, and scaled on the device in the
backward pass. Otherwise coefficients of the rows are kept, and the backward pass makes the gradient of them."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from whyloss.stats import reference
from whyloss.stats.kernels.mixture import mixture
from whyloss.stats.kernels.plan import plan
from whyloss.stats.kernels.source import Source, written
from whyloss.stats.program import Program
from whyloss.stats.rows import Rows, computing_dtype, flat, infinite, over, spent
from whyloss.stats.table import CONSTANT, HUGE
from whyloss.stats.trace import Untraceable

# From this width on a row is not served twice from the second-level cache, and two kernels are the faster way.
WIDE = 200_000
KEPT = 256
# Parameters are written into the kernels. A loss whose parameters went through more values than this is on a schedule,
# and would be compiled at every step; its formula runs between two kernels instead.
SETTLED = 16

_values: dict[Any, set[Hashable]] = {}
_sources: OrderedDict[Hashable, Source | None] = OrderedDict()


def source(rows: Rows) -> Source | None:
    """The kernels of a loss; None where a statistic cannot be summed in a kernel."""
    program, soft = _settled(rows), rows.every_label
    scales = isinstance(rows.scale, Tensor) and rows.scale.ndim > 0
    key = (None if program is None else _content(program), rows.names, rows.power, soft, scales)
    if key not in _sources:
        try:
            if soft and program is None:
                raise Untraceable("a formula of every class that runs elsewhere")
            made = mixture(rows.names, program, rows.power, scales) if soft and program is not None else None
            _sources[key] = written(plan(rows.names, program, rows.power), scales) if made is None else made
        except Untraceable:
            _sources[key] = None
        if len(_sources) > KEPT:
            _sources.popitem(last=False)
    return _sources[key]


def _settled(rows: Rows) -> Program | None:
    """The program of a formula whose parameters stay as they are."""
    program, family = rows.program(), rows.key
    if program is None:
        return None
    while isinstance(family, tuple):  # a sum's key is made of keys
        family = family[0]
    seen, content = _values.setdefault((family, rows.names), set()), _content(program)
    if len(seen) < SETTLED:
        seen.add(content)
    return program if content in seen else None


def _content(program: Program) -> Hashable:
    """Equal for programs that do the same: one loss made anew for every call needs one kernel."""
    return program.run, tuple(program.slopes)  # equal texts are one function


def total(z: Tensor, rows: Rows, share: Tensor | None = None) -> Tensor:
    """The sum of the weighted row losses, times `share`."""
    z, rows = _as_read(z, rows)
    return _Kernels.apply(z, rows, True, share, torch.is_grad_enabled())  # pyright: ignore[reportReturnType]


def each(z: Tensor, rows: Rows) -> Tensor:
    """[N] weighted row losses."""
    z, rows = _as_read(z, rows)
    return _Kernels.apply(z, rows, False, None, torch.is_grad_enabled())  # pyright: ignore[reportReturnType]


def _as_read(z: Tensor, rows: Rows) -> tuple[Tensor, Rows]:
    """Rows whose classes lie side by side and none of which is another, or planes whose pixels do; and the shares of
    a target that is still to be spread."""
    if z.ndim == 3 and not rows.every_label and _source(rows).statistics is None:
        return z if z.stride(2) == 1 else z.contiguous(), rows
    z = flat(z)
    return z if z.stride(1) == 1 and z.stride(0) >= z.shape[1] else z.contiguous(), _readable(z, rows)


def _readable(z: Tensor, rows: Rows) -> Rows:
    """With the shares of a target that is still to be spread; and no number that is a kernel's argument, which would be
    rounded to float32, beside float64."""
    if isinstance(rows.scale, float | int) and z.dtype == torch.float64:
        rows = replace(rows, scale=z.new_full(z.shape[1:2], rows.scale))
    if rows.smoothing is None:
        return rows
    exact = z.detach().to(computing_dtype(z))
    mix = rows.mixture(exact if rows.shift is None else exact + rows.shift)
    return replace(rows, label=None, mix=mix, smoothing=None)


class _Kernels(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, rows: Rows, total: bool, share: Tensor | None, gradients: bool) -> Tensor:
        from whyloss.stats.kernels import means

        wanted = gradients and ctx.needs_input_grad[0]
        # Float16 cannot hold gradients that are divided by many rows: a loss scaler must have its say before.
        early = total and not rows.inplace and z.dtype != torch.float16
        now = wanted and early and (z.shape[1] < WIDE or z.ndim == 3 or rows.every_label)
        given = share if now else None
        losses, ctx.gradient, saved = sweep(z, rows, now=now, later=wanted and not now, upstream=given, summed=total)
        ctx.rows, ctx.total, ctx.share = rows, total, share
        ctx.save_for_backward(z, saved)
        return means.total(losses, share) if total else losses

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        from whyloss.stats.kernels import launch

        (u,) = upstream
        z, saved = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph: the derivative itself must be differentiable
            losses = reference.row_losses(flat(z).to(computing_dtype(z)), ctx.rows)
            value = losses if not ctx.total else losses.sum() if ctx.share is None else losses.sum() * ctx.share
            (gradient,) = torch.autograd.grad(value, z, u, create_graph=True)
            return gradient, None, None, None, None
        # Whoever asks first gets the gradient itself; a second backward pass computes it again.
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is not None:
            launch.scale_(gradient, u)
            return gradient, None, None, None, None
        scaled = u if ctx.share is None else u * ctx.share
        out = over(z, ctx.rows) if z.ndim == 2 or z.is_contiguous() else None
        if saved is None:
            gradient = sweep(z, ctx.rows, now=True, later=False, upstream=scaled, out=out)[1]
        else:
            gradient = launch.like(z) if out is None else out
            launch.pull_back(_source(ctx.rows), z, described(ctx.rows), saved, scaled.contiguous(), gradient)
        if out is not None:
            spent(z)
        return gradient, None, None, None, None


def sweep(
    z: Tensor,
    rows: Rows,
    now: bool,
    later: bool,
    upstream: Tensor | None = None,
    out: Tensor | None = None,
    summed: bool = False,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """(losses, or if `summed` what adds up to their sum; the gradient of that sum if wanted `now`; coefficients to make
    it of `later` where that is cheaper). The gradient is that of the sum weighted by `upstream`, a number or [N]. `out`
    may be the logits themselves."""
    from whyloss.stats.kernels import launch

    rows = _readable(z, rows)
    made, exact = _source(rows), computing_dtype(z)
    share = upstream
    if upstream is not None and upstream.ndim > 0:  # it weighs the rows; their losses have been told before
        rows = replace(rows, weight=upstream if rows.weight is None else upstream * rows.weight)
        share = None
    row = described(rows)
    if now and out is None:
        out = launch.like(z)
    if made.statistics is not None:
        rows = rows.resolved()
        row = described(rows)
        return _around(z, rows, made, row, now, later, share, out)
    if z.ndim == 3:
        return launch.planes(made, z, row, out if now else None, share, summed), out if now else None, None
    losses = torch.empty(z.shape[0], dtype=exact, device=z.device)
    if rows.every_label:
        launch.mixture(made, z, row, losses, out if now else None, share)
        return losses, out if now else None, None
    keep = later and launch.keeps_coefficients(z.shape[1])
    saved = z.new_zeros(2 + made.coefficients, z.shape[0], dtype=exact) if keep else None
    launch.forward(made, z, row, losses, out if now else None, share, saved)
    return losses, out if now else None, saved


def _around(
    z: Tensor,
    rows: Rows,
    made: Source,
    row: dict[str, Any],
    now: bool,
    later: bool,
    share: Tensor | None,
    out: Tensor | None,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The same for a formula that runs in torch, between two kernels."""
    from whyloss.stats.kernels import launch

    assert made.statistics is not None
    assert made.pulled is not None
    assert rows.label is not None
    # Rows that count for nothing keep these innocent sums.
    exact = computing_dtype(z)
    found = z.new_zeros(3 + len(made.sums), z.shape[0], dtype=exact)
    found[2] = 1.0
    launch.sums(made, z, row, found)
    impossible = torch.isneginf(found[1])
    base = {"top": found[0], "own": torch.where(impossible, -HUGE, found[1]), "S": found[2]}
    base["base"] = torch.where(impossible, 0.0, found[1])
    base |= {name: found[3 + i] for i, name in enumerate(made.sums)}
    base["label"] = rows.label.to(exact)
    base["diagonal"] = found[0] * 0 if row["diagonal"] is None else row["diagonal"][rows.label]
    given = made.statistics(base)[1]
    with torch.enable_grad():
        leaves = {n: s.detach().requires_grad_((now or later) and n not in CONSTANT) for n, s in given.items()}
        value = rows.run(leaves)
    weight = torch.ones_like(found[0]) if rows.weight is None else rows.weight
    losses = infinite(value.detach(), impossible) * weight
    losses = losses if rows.keep is None else torch.where(rows.keep, losses, 0.0)
    if not (now or later):
        return losses, None, None
    inputs = {n: s for n, s in leaves.items() if s.requires_grad}
    slopes = torch.autograd.grad(value, list(inputs.values()), torch.ones_like(value), allow_unused=True)
    found_slopes = {n: torch.zeros_like(value) if c is None else c for n, c in zip(inputs, slopes, strict=True)}  # pyright: ignore
    base |= {f"c_{n}": found_slopes.get(n, torch.zeros_like(value)) for n in given}
    pulled = made.pulled({**base, "weight": weight})[1]
    own = torch.where(impossible, 0.0, pulled.pop("own"))
    saved = torch.stack([found[0], own, *pulled.values()])
    if not now:
        return losses, None, saved
    assert out is not None
    launch.pull_back(made, z, row, saved, found.new_ones(()) if share is None else share, out)
    return losses, out, None


def _source(rows: Rows) -> Source:
    made = source(rows)
    assert made is not None
    return made


def described(rows: Rows) -> dict[str, Any]:
    """What the kernels read besides logits, as they read it."""
    return {
        "label": rows.label,
        "mix": None if rows.mix is None else rows.mix.contiguous(),
        "offset": None if rows.offset is None else rows.offset.contiguous(),
        "ignore": rows.ignore,
        "keep": None if rows.keep is None else rows.keep.contiguous().view(torch.uint8),
        "weight": None if rows.weight is None else rows.weight.contiguous(),
        "shift": None if rows.shift is None else rows.shift.contiguous(),
        "scale": _number_or_each(rows.scale),
        "normalized": rows.normalized,
        "margin": None if rows.margin is None else rows.margin.contiguous(),
        "table": None if rows.table is None else rows.table.contiguous(),
        "diagonal": None if rows.table is None else rows.table.diagonal().contiguous(),
    }


def _number_or_each(scale: Tensor | float | None) -> Tensor | float | None:
    if isinstance(scale, Tensor) and scale.ndim:
        return scale.contiguous()
    return None if scale is None else float(scale)
