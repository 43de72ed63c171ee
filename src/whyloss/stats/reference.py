"""The reference engine: every statistic as differentiable torch operations on the whole of the logits.

Any device and dtype, double backward, forward mode, torch.func, torch.compile. Slower and hungrier than the other
engines, which are held to it in float64. No branch depends on a value, so that it can be traced."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from whyloss.stats.each import shares
from whyloss.stats.exact import share
from whyloss.stats.rows import Rows, infinite
from whyloss.stats.table import HUGE, REST, Rest, needed


@dataclass
class _Terms:
    e: Tensor
    u: Tensor
    z: Tensor
    sum_u: Tensor
    live: Tensor
    count: Tensor
    table: Tensor
    power: float

    @property
    def member(self) -> Tensor:
        return self.live


def row_losses(z: Tensor, rows: Rows) -> Tensor:
    """[N] losses of the softmax link, times the rows' weights, from logits [N, C] in a computing dtype."""
    rows = rows.resolved()
    if rows.keep is not None:
        z = torch.where(rows.keep.unsqueeze(1), z, 0.0)
    if rows.shift is not None:
        z = z + rows.shift
    if rows.scale is not None:
        z = z * rows.scale
    return weighted(_of_label(z, rows) if not rows.every_label else _of_mixture(z, rows), rows)


def weighted(loss: Tensor, rows: Rows) -> Tensor:
    if rows.offset is not None:
        loss = loss + rows.offset
    if rows.weight is not None:
        loss = loss * rows.weight
    return loss if rows.keep is None else torch.where(rows.keep, loss, 0.0)


def _of_label(z: Tensor, rows: Rows) -> Tensor:
    assert rows.label is not None
    base, impossible = _label_statistics(z, rows.label, rows)
    return infinite(rows.run(base), impossible)


def _label_statistics(z: Tensor, label: Tensor, rows: Rows) -> tuple[dict[str, Tensor], Tensor]:
    hit = torch.arange(z.shape[1], device=z.device) == label.unsqueeze(1)
    own = torch.where(hit, z, 0.0).sum(1)
    if (margins := rows.margins()) is not None:
        own = own - margins[label]
    others = torch.where(hit, -torch.inf, z)
    masked = torch.isneginf(others)
    top = others.amax(1)
    empty = torch.isneginf(top)
    origin = torch.where(empty, 0.0, top).detach()  # every statistic is the same for any origin
    u = torch.where(masked, 0.0, others - origin.unsqueeze(1))
    live = (~masked).to(z.dtype)
    e = torch.exp(u) * live
    bare = torch.where(masked, 0.0, z)
    terms = _Terms(e, u, bare, u.sum(1), live, live.sum(1), _table_rows(rows, label, z), rows.power or 0.0)
    S = e.sum(1)
    rest = rest_of(origin, S, lambda x: x.sum(1))
    impossible = torch.isneginf(own)
    own = torch.where(impossible, -HUGE, own)
    base = {name: REST[name].value(terms, rest) for name in needed(frozenset(rows.names)) if name in REST}
    base["log_odds"] = (own - origin) - rest.log_S
    base["logit"] = own
    base["rival"] = torch.where(empty, -HUGE, top)
    base["label"] = label.to(z.dtype)
    if rows.table is not None:
        base["own"] = rows.table.diagonal()[label]
    return base, impossible


def _of_mixture(z: Tensor, rows: Rows) -> Tensor:
    """Sum over the possible labels j of mix_j * loss(j)."""
    base, impossible = _every_label(z, rows)
    mix = rows.mixture(z)
    wanted = mix != 0
    possible = ~impossible
    # A label that nobody asks for must add nothing, not 0 * inf: its log-odds becomes an innocent 0 beforehand.
    safe = possible if rows.normalized else possible | wanted
    base["log_odds"] = torch.where(safe, base["log_odds"], 0.0)
    base["logit"] = torch.where(safe, base["logit"], 0.0)
    loss = rows.run(base)
    if rows.normalized:
        loss = torch.where(possible, shares(torch.where(possible, loss, 0.0)), 1.0)
    loss = torch.where(wanted, infinite(loss, impossible), 0.0)
    return (loss * mix).sum(1)


def _every_label(z: Tensor, rows: Rows) -> tuple[dict[str, Tensor], Tensor]:
    """The statistics of every class as if it were the label, [N, C].

    Leaving one class out of a sum is a subtraction, exact unless that class is the largest; the largest gets its own
    sums, as a label does."""
    top, best = z.detach().amax(1), z.argmax(1)
    largest = torch.arange(z.shape[1], device=z.device) == best.unsqueeze(1)
    exact, _ = _label_statistics(z, best, rows)
    masked = torch.isneginf(z)
    origin = top.unsqueeze(1)
    live = (~masked).to(z.dtype)
    u = torch.where(masked, 0.0, z - origin)
    e = torch.exp(u) * live
    S = torch.where(largest, 1.0, e.sum(1, keepdim=True) - e)
    names = needed(frozenset(rows.names))
    power = rows.power or 0.0

    def leave_one_out(x: Tensor) -> Tensor:
        return x.sum(1, keepdim=True) - x

    rest = rest_of(origin, S, leave_one_out)
    none = torch.zeros((), dtype=z.dtype, device=z.device)
    bare = torch.where(masked, 0.0, z)
    flat = _Terms(e, u, bare, leave_one_out(u), live, leave_one_out(live), none, power)
    base: dict[str, Tensor] = {}
    for name in names:
        if name in REST:
            if REST[name].argument == "table":
                base[name] = _table_every_label(name, rows, flat, rest)
            else:
                base[name] = REST[name].value(flat, rest)
    own = z
    if (margins := rows.margins()) is not None:
        own = own - margins
    impossible = torch.isneginf(z)
    own = torch.where(impossible, -HUGE, own)
    base["log_odds"] = (own - origin) - rest.log_S
    base["logit"] = own
    tied = z == origin  # for every class but the largest, the largest is the rival; if there are several, they share
    number = torch.where(largest, 1.0, leave_one_out(tied.to(z.dtype)))
    base["rival"] = leave_one_out(torch.where(tied, z, 0.0)) / number
    base["label"] = torch.arange(z.shape[1], device=z.device, dtype=z.dtype).expand_as(z)
    if rows.table is not None:
        base["own"] = rows.table.diagonal().expand_as(z)
    for name in base:
        if name != "label" and name != "own":
            base[name] = torch.where(largest, exact[name].unsqueeze(1), base[name])
    return base, impossible


def _table_every_label(name: str, rows: Rows, flat: _Terms, rest: Rest) -> Tensor:
    """A table's statistic for every label j: its sums over k of A[j, k] x_k are a matrix product, less the own term."""
    assert rows.table is not None
    table, own = rows.table, rows.table.diagonal()

    def total(x: Tensor) -> Tensor:
        return x @ table.T - x * own

    ones = torch.ones((), dtype=flat.e.dtype, device=flat.e.device)
    plain = replace(flat, table=ones)
    return REST[name].value(plain, replace(rest, total=total))


def rest_of(origin: Tensor, S: Tensor, total: Callable[[Tensor], Tensor]) -> Rest:
    some = S > 0
    safe = torch.where(some, S, 1.0)
    return Rest(origin, S, torch.where(some, torch.log(safe), -HUGE), 1 / safe, total)


def _table_rows(rows: Rows, label: Tensor, z: Tensor) -> Tensor:
    return torch.zeros((), dtype=z.dtype, device=z.device) if rows.table is None else rows.table[label]


def binary_losses(z: Tensor, rows: Rows) -> Tensor:
    """[N] losses of the sigmoid link: two classes with logits 0 and z.

    `label` holds 0 or 1, in any dtype; `mix` is [N, 2], or [N] for (1 - mix, mix)."""
    rows = rows.resolved()
    if rows.mix is not None and rows.mix.ndim == 1:
        mix = rows.mix.to(z.dtype)
        rows = replace(rows, mix=torch.stack([1 - mix, mix], 1))
    if rows.keep is not None:
        z = torch.where(rows.keep, z, 0.0)
    infinities = torch.isinf(z)
    z = z.nan_to_num(torch.nan, HUGE, -HUGE)
    pair = (torch.zeros_like(z), z)
    if rows.shift is not None:
        pair = (pair[0] + rows.shift[..., 0], pair[1] + rows.shift[..., 1])
    if rows.scale is not None:
        scale = torch.as_tensor(rows.scale, dtype=z.dtype, device=z.device).expand(2)
        pair = (pair[0] * scale[0], pair[1] * scale[1])
    if rows.mix is None and not rows.normalized:
        assert rows.label is not None
        label = rows.label.long()
        own, other = torch.where(label == 1, pair[1], pair[0]), torch.where(label == 1, pair[0], pair[1])
        loss = _of_binary(own, other, label, infinities, rows)
    else:
        zero, one = torch.zeros_like(z, dtype=torch.int64), torch.ones_like(z, dtype=torch.int64)
        each = [_of_binary(*pair, zero, infinities, rows), _of_binary(pair[1], pair[0], one, infinities, rows)]
        each = torch.stack(each, 1)
        if rows.normalized:
            each = share(each, each.flip(1))
        if rows.mix is not None:
            loss = torch.where(rows.mix != 0, each * rows.mix, 0.0).sum(1)
        else:
            assert rows.label is not None
            loss = torch.where(rows.label == 1, each[:, 1], each[:, 0])
    return weighted(loss, rows)


def _of_binary(own: Tensor, other: Tensor, label: Tensor, infinities: Tensor, rows: Rows) -> Tensor:
    if (margins := rows.margins()) is not None:
        own = own - margins[label]
    zero, one = torch.zeros_like(own), torch.ones_like(own)
    base = {
        "log_odds": own - other,
        "logit": own,
        "rival": other,
        "label": label.to(own.dtype),
        "rest_lse": other,
        "rest_sq": one,
        "rest_pow": one,
        "rest_entropy": zero,
        "rest_log_p": zero,
        "rest_count": one,
        "rest_z_sq": other * other,
    }
    if rows.table is not None:
        opposite = rows.table[label, 1 - label]
        base |= {
            "own": rows.table[label, label],
            "rest_expected": opposite,
            "rest_affine": zero,
            "rest_affine_z": opposite * other,
            "rest_table": opposite,
        }
    loss = rows.run(base)
    return loss if rows.normalized else infinite(loss, infinities & (own < other))
