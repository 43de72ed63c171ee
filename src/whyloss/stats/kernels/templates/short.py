"""Kernels for rows that fit into registers, several at a time."""

SMALL_PASSES = '''@triton.jit
def whole_accesses(C, stride, VEC: tl.constexpr):
    # Says to the compiler what they are multiples of.
    return C // VEC * VEC, stride // VEC * VEC


@triton.jit
def rows_in_registers(z, label, keep, ignore, shift, scale, margin, N, C, stride, R: tl.constexpr, B: tl.constexpr,
                      VEC: tl.constexpr):
    """R rows from end to end: what they are, what they hold, and the label's logit."""
    row = tl.program_id(0).to(tl.int64) * R + tl.arange(0, R)
    here = row < N
    ok = here
    if keep is not None:
        ok = here & (tl.load(keep + row, mask=here, other=0) != 0)
    elif ignore is not None:
        ok = here & (tl.load(label + row, mask=here, other=0) != ignore)
    y = tl.load(label + row, mask=ok, other=0).to(tl.int32)
    column = tl.arange(0, B)[None, :]
    C, stride = whole_accesses(C, stride, VEC)
    live = (column < C) & ok[:, None]
    x = tl.load(z + row[:, None] * stride + column, mask=live, other=float("-inf")).to(ACC)
    x = adjusted(x, shift, scale, column, live)
    hit = column == y[:, None]
    own = tl.sum(tl.where(hit, x, 0.0), axis=1)
    if margin is not None:
        own = own - times(tl.load(margin + y), scale, y, True)
    own = tl.where(ok, own, 0.0)
    others = tl.where(hit | ~live, float("-inf"), x)
    return row, here, ok, y, column, live, hit, own, others


@triton.jit
def store_rows(out, g, row, here, ok, column, scale, C, out_stride, VEC: tl.constexpr):
    g = tl.where(ok[:, None], times(g, scale, column, column < C), 0.0)
    C, out_stride = whole_accesses(C, out_stride, VEC)
    live = (column < C) & here[:, None]
    tl.store(out + row[:, None] * out_stride + column, g.to(out.dtype.element_ty), mask=live)
'''

SMALL = '''@triton.jit
def small(z, out, label, keep, ignore, weight, share, upstream, shift, scale, margin, diagonal, table, losses,
          N, C, stride, out_stride, R: tl.constexpr, B: tl.constexpr, VEC: tl.constexpr,
          GRADIENT: tl.constexpr):
    """R rows in registers: one read, one exponential an element."""
    row, here, ok, y, column, live, hit, own, others = rows_in_registers(
        z, label, keep, ignore, shift, scale, margin, N, C, stride, R, B, VEC)
    masked = own == float("-inf")
    own = tl.where(masked, IMPOSSIBLE, own)
    $entry_rows
    top, S$sums = whole(others$entry, tl.where(masked, 0.0, own)[:, None])
    weight_of_row, scaled = weights_of_row(own, row, ok, weight, share, upstream)
    loss, own_slope$k = compute(top, S$sums, own, y.to(ACC), entry_of_label(own, y, diagonal), scaled)
    own_slope = tl.where(masked, 0.0, own_slope)
    tl.store(losses + row, tl.where(ok, loss_of_row(loss, masked, weight_of_row), 0.0), mask=here)
    if GRADIENT:
        g = slope(others$entry, top[:, None]$k_column)
        store_rows(out, tl.where(hit, own_slope[:, None], g), row, here, ok, column, scale, C, out_stride, VEC)
'''

SMALL_SUMS = """@triton.jit
def small_sums(z, label, keep, ignore, shift, scale, margin, table, saved, N, C, stride,
               R: tl.constexpr, B: tl.constexpr, VEC: tl.constexpr):
    row, here, ok, y, column, live, hit, own, others = rows_in_registers(
        z, label, keep, ignore, shift, scale, margin, N, C, stride, R, B, VEC)
    masked = own == float("-inf")
    $entry_rows
    top, S$sums = whole(others$entry, tl.where(masked, 0.0, own)[:, None])
    tl.store(saved + row, top, mask=ok)
    tl.store(saved + N + row, own, mask=ok)
    tl.store(saved + 2 * N + row, S, mask=ok)
    $save_sums_here


@triton.jit
def small_pull_back(z, out, label, keep, ignore, upstream, shift, scale, table, saved, N, C, stride, out_stride,
                    R: tl.constexpr, B: tl.constexpr, VEC: tl.constexpr, EACH: tl.constexpr):
    row, here, ok, y, column, live, hit, own, others = rows_in_registers(
        z, label, keep, ignore, shift, scale, None, N, C, stride, R, B, VEC)
    g = tl.load(upstream + row, mask=ok, other=0.0) if EACH else tl.load(upstream)
    top = tl.load(saved + row, mask=ok, other=0.0)
    own_slope = tl.load(saved + N + row, mask=ok, other=0.0)
    $load_k_here
    $entry_rows
    v = slope(others$entry, top[:, None]$k_column)
    v = tl.where(hit, own_slope[:, None], v)
    v = v * (g[:, None] if EACH else g)
    store_rows(out, v, row, here, ok, column, scale, C, out_stride, VEC)
"""
