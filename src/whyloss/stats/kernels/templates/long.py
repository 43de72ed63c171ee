"""Kernels for rows that do not fit into registers, and what all kernels share."""

LOADED = '''@triton.jit
def times(x, scale, column, live):
    """x times the scale: one number, or one of each class."""
    if scale is not None:
        x = x * $scale
    return x


@triton.jit
def adjusted(x, shift, scale, column, live):
    if shift is not None:
        x = x + tl.load(shift + column, mask=live, other=0.0)
    return times(x, scale, column, live)


@triton.jit
def adjusted_label(z_of_label, y, shift, scale, margin):
    own = z_of_label.to(ACC)
    if shift is not None:
        own = own + tl.load(shift + y)
    own = times(own, scale, y, True)
    if margin is not None:
        own = own - times(tl.load(margin + y), scale, y, True)
    return own


@triton.jit
def split(row, stride, C, VEC: tl.constexpr, ALIGNED: tl.constexpr):
    start = row * stride
    if ALIGNED:
        middle = start // VEC * VEC  # says to the compiler what it is a multiple of
        head = 0
        length = C // VEC * VEC
    else:
        middle = (start + VEC - 1) // VEC * VEC
        head = tl.minimum(middle - start, C).to(tl.int32)
        length = (tl.maximum((start + C) // VEC * VEC - middle, 0) // VEC * VEC).to(tl.int32)
    return start, middle, head, length


@triton.jit
def weights_of_row(like, row, mask, weight, share, upstream):
    """What the row's loss is multiplied with, and what its slopes are."""
    of_loss = like * 0.0 + 1.0
    if weight is not None:
        of_loss = tl.load(weight + row, mask=mask, other=0.0)
    of_slopes = of_loss
    if share is not None:
        of_slopes = of_slopes * tl.load(share)
    if upstream is not None:
        of_slopes = of_slopes * tl.load(upstream).to(ACC)
    return of_loss, of_slopes


@triton.jit
def entry_of_label(like, y, diagonal):
    """A[y, y] of the loss's table."""
    if diagonal is not None:
        found = tl.load(diagonal + y)
    else:
        found = like * 0.0
    return found


@triton.jit
def loss_of_row(loss, own_is_masked, weight_of_row):
    # A label that is masked out makes an unbounded loss infinite.
    loss = tl.where(own_is_masked & (tl.abs(loss) > 1e15), loss * float("inf"), loss)
    return loss * weight_of_row
'''

PASSES = '''@triton.jit
def sums_of_row(z, start, middle, head, length, y, base, C, shift, scale, table,
                K: tl.constexpr, T: tl.constexpr, J: tl.constexpr, ALIGNED: tl.constexpr):
    """top, S and the sums over all classes but the label."""
    m = tl.full((T,), float("-inf"), ACC)
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
        m, S$sums = accumulate(x$entry, base, m, S$sums)
    if full < length:
        o = full + tile
        live = o < length
        x = tl.load(z + middle + o, mask=live, other=float("-inf"), eviction_policy="evict_last").to(ACC)
        x = tl.where(live, adjusted(x, shift, scale, head + o, live), float("-inf"))
        $entry_middle
        m, S$sums = accumulate(x$entry, base, m, S$sums)
    # The label was read with the others, to spare a comparison for each. Its lane is summed again, without it.
    place = y - head
    inside = (place >= 0) & (place < length)
    mine = tl.where(inside, place % T, 0)
    o = mine + tl.arange(0, J) * T
    live = (o != place) & (o < tl.where(inside, length, 0))
    x = tl.load(z + middle + o, mask=live, other=float("-inf")).to(ACC)
    x = tl.where(live, adjusted(x, shift, scale, head + o, live), float("-inf"))
    $entry_middle
    anew = (tl.arange(0, T) == mine) & inside
    $sums_anew
    m = tl.where(anew, tl.max(x, axis=0), m)
    if not ALIGNED:
        lane = tl.arange(0, T)
        column = tl.where(lane < head, lane, lane + length)
        live = column < C
        x = tl.load(z + start + column, mask=live, other=float("-inf")).to(ACC)
        x = adjusted(x, shift, scale, column, live)
        x = tl.where(live & (column != y), x, float("-inf"))[None, :]
        $entry_lane
        m, S$sums = accumulate(x$entry, base, m, S$sums)
    return finish(m, S$sums)


@triton.jit
def blank(out, row, stride, C, T: tl.constexpr, VEC: tl.constexpr, ALIGNED: tl.constexpr):
    """The gradient of a row that counts for nothing, whatever its logits hold."""
    start, middle, head, length = split(row, stride, C, VEC, ALIGNED)
    nothing = tl.zeros((T,), ACC).to(out.dtype.element_ty)
    for i in range(0, length, T):
        o = i + tl.arange(0, T)
        tl.store(out + middle + o, nothing, mask=o < length)
    if not ALIGNED:
        lane = tl.arange(0, 32)
        column = tl.where(lane < head, lane, lane + length)
        tl.store(out + start + column, tl.zeros((32,), ACC).to(out.dtype.element_ty), mask=column < C)


@triton.jit
def gradient_of_row(z, out, start, out_start, middle, out_middle, head, length, y, own_slope, C, shift, scale, table,
                    top$k, K: tl.constexpr, T: tl.constexpr, ALIGNED: tl.constexpr, CLOSE: tl.constexpr):
    """From the end to the beginning: what was read last is still near."""
    tile = tl.arange(0, K)[:, None] * T + tl.arange(0, T)[None, :]
    full = length // (K * T) * (K * T)
    if full < length:
        o = full + tile
        live = o < length
        x = tl.load(z + middle + o, mask=live, other=0.0, eviction_policy="evict_first").to(ACC)
        x = adjusted(x, shift, scale, head + o, live)
        $entry_middle
        g = slope(x$entry, top$k)
        g = times(g, scale, head + o, live)
        tl.store(out + out_middle + o, g.to(out.dtype.element_ty), mask=live, eviction_policy="evict_first")
    for i in range(0, full, K * T):
        o = (full - K * T - i) + tile
        x = tl.load(z + middle + o, eviction_policy="evict_first").to(ACC)
        live = o < length
        x = adjusted(x, shift, scale, head + o, live)
        $entry_middle
        if CLOSE:
            g = slope_near(x$entry, top$k)
        else:
            g = slope(x$entry, top$k)
        g = times(g, scale, head + o, live)
        tl.store(out + out_middle + o, g.to(out.dtype.element_ty), eviction_policy="evict_first")
    if not ALIGNED:
        lane = tl.arange(0, 32)
        column = tl.where(lane < head, lane, lane + length)
        live = column < C
        x = tl.load(z + start + column, mask=live, other=0.0).to(ACC)
        x = adjusted(x, shift, scale, column, live)
        $entry_column
        g = slope(x$entry, top$k)
        g = times(g, scale, column, live)
        tl.store(out + out_start + column, g.to(out.dtype.element_ty), mask=live)
    tl.debug_barrier()  # the label's own is the last to be written
    own_slope = times(own_slope, scale, y, True)
    tl.store(out + out_start + y, own_slope.to(out.dtype.element_ty))
'''

STREAM = '''@triton.jit
def counts(row, label, keep, ignore):
    """Whether a row counts for anything."""
    ok = True
    if keep is not None:
        ok = tl.load(keep + row) != 0
    elif ignore is not None:
        ok = tl.load(label + row) != ignore
    return ok


@triton.jit
def one_row(row, z, out, label, weight, share, shift, scale, margin, diagonal, table, losses, saved,
            N, C, stride, out_stride, K: tl.constexpr, T: tl.constexpr, J: tl.constexpr, VEC: tl.constexpr,
            ALIGNED: tl.constexpr, GRADIENT: tl.constexpr, SAVE: tl.constexpr):
    start, middle, head, length = split(row, stride, C, VEC, ALIGNED)
    y = tl.load(label + row).to(tl.int32)
    own = adjusted_label(tl.load(z + start + y), y, shift, scale, margin)
    masked = own == float("-inf")
    own = tl.where(masked, IMPOSSIBLE, own)
    base = tl.where(masked, 0.0, own)
    top, S$sums = sums_of_row(z, start, middle, head, length, y, base, C, shift, scale, table, K, T, J, ALIGNED)
    weight_of_row, scaled = weights_of_row(own, row, True, weight, share, None)
    loss, own_slope$k = compute(top, S$sums, own, y.to(ACC), entry_of_label(own, y, diagonal), scaled)
    own_slope = tl.where(masked, 0.0, own_slope)
    tl.store(losses + row, loss_of_row(loss, masked, weight_of_row))
    if SAVE:
        tl.store(saved + row, top)
        tl.store(saved + N + row, own_slope)
        $save_k
    if GRADIENT:
        tl.debug_barrier()
        out_start, out_middle, out_head, out_length = split(row, out_stride, C, VEC, ALIGNED)
        gradient_of_row(z, out, start, out_start, middle, out_middle, head, length, y, own_slope, C,
                        shift, scale, table, top$k, K, T, ALIGNED, False)


@triton.jit
def stream(z, out, label, keep, ignore, weight, share, shift, scale, margin, diagonal, table, losses, saved,
           N, C, stride, out_stride, K: tl.constexpr, T: tl.constexpr, J: tl.constexpr, VEC: tl.constexpr,
           ALIGNED: tl.constexpr, GRADIENT: tl.constexpr, SAVE: tl.constexpr):
    """One row: its loss and, while it is near, its gradient; or the coefficients to make the gradient of, later."""
    row = tl.program_id(0).to(tl.int64)
    if counts(row, label, keep, ignore):
        one_row(row, z, out, label, weight, share, shift, scale, margin, diagonal, table, losses, saved,
                N, C, stride, out_stride, K, T, J, VEC, ALIGNED, GRADIENT, SAVE)
    else:
        tl.store(losses + row, 0.0)
        if GRADIENT:
            blank(out, row, out_stride, C, T, VEC, ALIGNED)


@triton.jit
def far_rows(z, out, label, weight, share, shift, scale, margin, diagonal, table, losses, far,
             N, C, stride, out_stride, R: tl.constexpr, K: tl.constexpr, T: tl.constexpr, J: tl.constexpr,
             VEC: tl.constexpr, ALIGNED: tl.constexpr, GRADIENT: tl.constexpr):
    """The same for those of R rows that `near_rows` has left."""
    first = tl.program_id(0).to(tl.int64) * R
    rows = first + tl.arange(0, R)
    left = tl.sum(tl.load(far + rows, mask=rows < N, other=0).to(tl.int32), axis=0)
    if left > 0:
        for r in range(R):
            row = first + r
            if tl.load(far + row, mask=row < N, other=0) != 0:
                one_row(row, z, out, label, weight, share, shift, scale, margin, diagonal, table, losses, None,
                        N, C, stride, out_stride, K, T, J, VEC, ALIGNED, GRADIENT, False)
'''

PULL_BACK = '''@triton.jit
def pull_back_ends(z, out, start, out_start, head, length, y, own_slope, g, ok, C, shift, scale, table, top$k):
    """The few elements before and after what is aligned."""
    lane = tl.arange(0, 32)
    column = tl.where(lane < head, lane, lane + length)
    live = column < tl.where(ok, C, 0)
    x = tl.load(z + start + column, mask=live, other=0.0).to(ACC)
    x = adjusted(x, shift, scale, column, live)
    $entry_column
    v = times(tl.where(column == y, own_slope, slope(x$entry, top$k)) * g, scale, column, live)
    tl.store(out + out_start + column, tl.where(ok, v, 0.0).to(out.dtype.element_ty), mask=column < C)


@triton.jit
def pull_back(z, out, label, keep, ignore, upstream, shift, scale, table, saved, N, C, stride, out_stride, blocks,
              T: tl.constexpr, VEC: tl.constexpr, ALIGNED: tl.constexpr, EACH: tl.constexpr):
    """A stretch of one row's gradient, from the coefficients that were saved."""
    program = tl.program_id(0).to(tl.int64)
    row = program // blocks
    block = (program % blocks).to(tl.int32)
    start, middle, head, length = split(row, stride, C, VEC, ALIGNED)
    out_start, out_middle, out_head, out_length = split(row, out_stride, C, VEC, ALIGNED)
    ok = row < N
    if keep is not None:
        ok = tl.load(keep + row) != 0
    elif ignore is not None:
        ok = tl.load(label + row) != ignore
    g = tl.load(upstream + row) if EACH else tl.load(upstream)
    g = tl.where(ok, g.to(ACC), 0.0)
    y = tl.load(label + row).to(tl.int32)
    top = tl.load(saved + row)
    own_slope = tl.load(saved + N + row)
    $load_k
    o = block * T + tl.arange(0, T)
    live = o < tl.where(ok, length, 0)
    x = tl.load(z + middle + o, mask=live, other=0.0, eviction_policy="evict_first").to(ACC)
    x = adjusted(x, shift, scale, head + o, live)
    $entry_middle
    v = times(tl.where(o == y - head, own_slope, slope(x$entry, top$k)) * g, scale, head + o, live)
    v = tl.where(ok, v, 0.0)
    tl.store(out + out_middle + o, v.to(out.dtype.element_ty), mask=o < length, eviction_policy="evict_first")
    if not ALIGNED:
        if block == 0:
            pull_back_ends(z, out, start, out_start, head, length, y, own_slope, g, ok, C, shift, scale, table, top$k)
'''

SUMS = '''@triton.jit
def sums(z, label, keep, ignore, shift, scale, margin, table, saved, N, C, stride,
         K: tl.constexpr, T: tl.constexpr, J: tl.constexpr, VEC: tl.constexpr, ALIGNED: tl.constexpr):
    """One row's sums, for a formula that runs elsewhere."""
    row = tl.program_id(0).to(tl.int64)
    ok = True
    if keep is not None:
        ok = tl.load(keep + row) != 0
    elif ignore is not None:
        ok = tl.load(label + row) != ignore
    if ok:
        start, middle, head, length = split(row, stride, C, VEC, ALIGNED)
        y = tl.load(label + row).to(tl.int32)
        own = adjusted_label(tl.load(z + start + y), y, shift, scale, margin)
        masked = own == float("-inf")
        base = tl.where(masked, 0.0, own)
        top, S$sums = sums_of_row(z, start, middle, head, length, y, base, C, shift, scale, table, K, T, J, ALIGNED)
        tl.store(saved + row, top)
        tl.store(saved + N + row, own)
        tl.store(saved + 2 * N + row, S)
        $save_sums
'''
