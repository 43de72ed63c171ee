"""The kernel for long rows whose sums may be relative to the label's logit (near.py)."""

NEAR = '''@triton.jit
def sums_near_label(z, start, middle, head, length, y, own, C, shift, scale, table,
                    K: tl.constexpr, T: tl.constexpr, J: tl.constexpr, ALIGNED: tl.constexpr):
    """The same relative to the label's logit, which is known before the row is read: no largest is looked for, and
    nothing moves. True only if no class is masked, and while nothing overflows or vanishes: `close` tells."""
    S = tl.zeros((T,), ACC)
    $zeros
    tile = tl.arange(0, K)[:, None] * T + tl.arange(0, T)[None, :]
    full = length // (K * T) * (K * T)
    for i in range(0, full, K * T):
        o = i + tile
        x = tl.load(z + middle + o, eviction_policy="evict_last").to(ACC)
        live = o < length
        x = adjusted(x, shift, scale, head + o, live)
        $entry_middle
        S$sums = near(x$entry, own, S$sums)
    if full < length:
        o = full + tile
        live = o < length
        x = tl.load(z + middle + o, mask=live, other=float("-inf"), eviction_policy="evict_last").to(ACC)
        x = tl.where(live, adjusted(x, shift, scale, head + o, live), float("-inf"))
        $entry_middle
        $add_tile
    place = y - head
    inside = (place >= 0) & (place < length)
    mine = tl.where(inside, place % T, 0)
    o = mine + tl.arange(0, J) * T
    live = (o != place) & (o < tl.where(inside, length, 0))
    x = tl.load(z + middle + o, mask=live, other=float("-inf")).to(ACC)
    x = tl.where(live, adjusted(x, shift, scale, head + o, live), float("-inf"))
    $entry_middle
    anew = (tl.arange(0, T) == mine) & inside
    $add_anew
    if not ALIGNED:
        lane = tl.arange(0, T)
        column = tl.where(lane < head, lane, lane + length)
        live = column < C
        x = tl.load(z + start + column, mask=live, other=float("-inf")).to(ACC)
        x = adjusted(x, shift, scale, column, live)
        x = tl.where(live & (column != y), x, float("-inf"))
        $entry_column
        $add_ends
    return $reduced


@triton.jit
def near_rows(z, out, label, keep, ignore, weight, share, shift, scale, margin, diagonal, table, losses, far,
              N, C, stride, out_stride, K: tl.constexpr, T: tl.constexpr, J: tl.constexpr, VEC: tl.constexpr,
              ALIGNED: tl.constexpr, GRADIENT: tl.constexpr):
    """One row: its loss and its gradient, or 1 in `far` where that takes another way."""
    row = tl.program_id(0).to(tl.int64)
    if counts(row, label, keep, ignore):
        start, middle, head, length = split(row, stride, C, VEC, ALIGNED)
        y = tl.load(label + row).to(tl.int32)
        own = adjusted_label(tl.load(z + start + y), y, shift, scale, margin)
        S$sums = sums_near_label(z, start, middle, head, length, y, own, C, shift, scale, table, K, T, J, ALIGNED)
        if close(S$sums) & (own > float("-inf")):
            weight_of_row, scaled = weights_of_row(own, row, True, weight, share, None)
            loss, own_slope$k = compute(own, S$sums, own, y.to(ACC), entry_of_label(own, y, diagonal), scaled)
            tl.store(losses + row, loss_of_row(loss, own != own, weight_of_row))
            tl.store(far + row, 0)
            if GRADIENT:
                tl.debug_barrier()
                out_start, out_middle, out_head, out_length = split(row, out_stride, C, VEC, ALIGNED)
                gradient_of_row(z, out, start, out_start, middle, out_middle, head, length, y, own_slope, C,
                                shift, scale, table, own$k, K, T, ALIGNED, True)
        else:
            tl.store(far + row, 1)
    else:
        tl.store(losses + row, 0.0)
        tl.store(far + row, 0)
        if GRADIENT:
            blank(out, row, out_stride, C, T, VEC, ALIGNED)
'''
