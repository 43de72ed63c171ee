"""The kernel for pixels: logits [N, C, P], each class a plane."""

PLANES = """@triton.jit
def pixel(z, c, start, o, stride, ok, GUARD: tl.constexpr, live, shift, scale):
    plane = (tl.zeros((), tl.int64) + c) * stride  # beyond 2^31 in a volume
    x = tl.load(z + start + plane + o, mask=live, other=0.0).to(ACC)
    if GUARD:
        x = tl.where(ok, x, 0.0)
    if shift is not None:
        x = x + tl.load(shift + c)
    return times(x, scale, c, True)


@triton.jit
def store_pixel(out, c, start, o, P, ok, GUARD: tl.constexpr, live, scale, g):
    g = times(g, scale, c, True)
    if GUARD:
        g = tl.where(ok, g, 0.0)
    plane = (tl.zeros((), tl.int64) + c) * P
    tl.store(out + start + plane + o, g.to(out.dtype.element_ty), mask=live)


@triton.jit
def planes(z, out, label, keep, ignore, weight, share, shift, scale, margin, diagonal, table, losses,
           P, C: tl.constexpr, image_stride, stride, T: tl.constexpr, GUARD: tl.constexpr,
           HELD: tl.constexpr, GRADIENT: tl.constexpr, SUMMED: tl.constexpr):
    \"\"\"T pixels of an image whose classes lie in planes. A thread owns its pixels' classes: it holds all of them
    (HELD), or reads them twice.\"\"\"
    image = tl.program_id(1).to(tl.int64)
    start, out_start = image * image_stride, image * C * P
    o = tl.program_id(0).to(tl.int64) * T + tl.arange(0, T)
    live = o < P
    row = image * P + o
    ok = live
    if keep is not None:
        ok = live & (tl.load(keep + row, mask=live, other=0) != 0)
    y = tl.load(label + row, mask=live, other=0)
    if ignore is not None:
        ok = ok & (y != ignore)
    y = tl.where(ok, y, 0).to(tl.int32)
    own = tl.load(z + start + y.to(tl.int64) * stride + o, mask=live, other=0.0)
    own = tl.where(ok, adjusted_label(own, y, shift, scale, margin), 0.0)
    masked = own == float("-inf")
    base = tl.where(masked, 0.0, own)
    own = tl.where(masked, IMPOSSIBLE, own)
    if HELD:
        held = ()
        top = tl.full((T,), float("-inf"), ACC)
        for c in tl.static_range(C):
            x = pixel(z, c, start, o, stride, ok, GUARD, live, shift, scale)
            x = tl.where(y == c, float("-inf"), x)
            top = tl.maximum(top, x)
            held = held + (x,)
        top = tl.where(top == float("-inf"), 0.0, top)
        $zeros_of_pixels
        for c in tl.static_range(C):
            x = held[c]
            $entry_of_pixels
            $add_terms
    else:
        m = tl.full((T,), float("-inf"), ACC)
        $zeros_of_pixels
        for c in range(C):
            x = pixel(z, c, start, o, stride, ok, GUARD, live, shift, scale)
            x = tl.where(y == c, float("-inf"), x)
            $entry_of_pixels
            m, S$sums = accumulate(x[None, :]$entry_row, base, m, S$sums)
        top = tl.where(m == float("-inf"), 0.0, m)
    weight_of_row, scaled = weights_of_row(own, row, live, weight, share, None)
    loss, own_slope$k = compute(top, S$sums, own, y.to(ACC), entry_of_label(own, y, diagonal), scaled)
    own_slope = tl.where(masked, 0.0, own_slope)
    loss = tl.where(ok, loss_of_row(loss, masked, weight_of_row), 0.0)
    if SUMMED:
        tl.store(losses + image * tl.num_programs(0) + tl.program_id(0), tl.sum(loss, axis=0))
    else:
        tl.store(losses + row, loss, mask=live)
    if GRADIENT:
        if HELD:
            for c in tl.static_range(C):
                x = held[c]
                $entry_of_pixels
                g = tl.where(y == c, own_slope, slope(x$entry, top$k))
                store_pixel(out, c, out_start, o, P, ok, GUARD, live, scale, g)
        else:
            for c in range(C):
                x = pixel(z, c, start, o, stride, ok, GUARD, live, shift, scale)
                $entry_of_pixels
                g = tl.where(y == c, own_slope, slope(x$entry, top$k))
                store_pixel(out, c, out_start, o, P, ok, GUARD, live, scale, g)
"""
