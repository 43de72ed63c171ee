"""Kernels for soft targets: mix [N, C] in place of labels. offset [N] is added to the loss before it is weighted."""

SHORT = '''@triton.jit
def mixture_small(z, out, mix, keep, weight, offset, share, shift, scale, margin, losses, N, C, stride, out_stride,
                  R: tl.constexpr, B: tl.constexpr, VEC: tl.constexpr, GRADIENT: tl.constexpr):
    """R rows in registers."""
    row = tl.program_id(0).to(tl.int64) * R + tl.arange(0, R)
    here = row < N
    ok = here
    if keep is not None:
        ok = here & (tl.load(keep + row, mask=here, other=0) != 0)
    column = tl.arange(0, B)[None, :]
    C, stride = whole_accesses(C, stride, VEC)
    live = (column < C) & ok[:, None]
    x = tl.load(z + row[:, None] * stride + column, mask=live, other=float("-inf")).to(ACC)
    x = tl.where(live, adjusted(x, shift, scale, column, live), float("-inf"))
    q = tl.load(mix + row[:, None] * C + column, mask=live, other=0.0).to(ACC)
    label_logit = x
    if margin is not None:
        taken = tl.load(margin + column, mask=column < C, other=0.0)
        if scale is not None:
            taken = taken * scale
        label_logit = x - taken
    possible = x > float("-inf")
    label_logit = tl.where(possible, label_logit, -1e30)
    top = tl.max(x, axis=1)
    best = tl.min(tl.where(x == top[:, None], column, B), axis=1)
    top = tl.where(top == float("-inf"), 0.0, top)
    hit = column == best[:, None]
    share_of_best = tl.sum(tl.where(hit, q, 0.0), axis=1)
    own = tl.sum(tl.where(hit, label_logit, 0.0), axis=1)
    rest = tl.where(hit, float("-inf"), x)
    second, S$sums = whole(rest, 0.0)
    loss, own_slope$k = compute(second, S$sums, own, best.to(ACC), own * 0.0, share_of_best)
    masked = own == -1e30
    loss = loss_of_row(loss, masked, share_of_best)
    loss = tl.where(share_of_best != 0.0, loss, 0.0)
    own_slope = tl.where(masked | (share_of_best == 0.0), 0.0, own_slope)
    $k_if_any
    moved_sums = moved(second, top, S$sums)
    $take_moved
    $add_best
    each, owed_own$owed = others(x, label_logit, column.to(ACC), top[:, None]$all_column)
    counts = (q != 0.0) & (column != best[:, None])
    each = loss_of_row(each, possible == 0, q)
    loss += tl.sum(tl.where(counts, each, 0.0), axis=1)
    if offset is not None:
        loss += tl.load(offset + row, mask=ok, other=0.0)
    weight_of_row, scaled = weights_of_row(own, row, ok, weight, share, None)
    tl.store(losses + row, tl.where(ok, loss * weight_of_row, 0.0), mask=here)
    if GRADIENT:
        $weigh_debts
        $collect_rows
        $collected_rows
        g = tl.where(counts & possible, owed_own * q, 0.0)
        $pay_rows
        g += tl.where(hit, own_slope[:, None], slope(rest, second[:, None]$k_column))
        store_rows(out, g * scaled[:, None], row, here, ok, column, scale, C, out_stride, VEC)
'''

LONG = '''@triton.jit
def stretch(z, mix, start, mix_start, i, C, best, shift, scale, margin, T: tl.constexpr):
    """T classes of a row: logits, the logits they have as labels, and their shares of the target."""
    column = i + tl.arange(0, T)
    live = column < C
    x = tl.load(z + start + column, mask=live, other=float("-inf")).to(ACC)
    x = tl.where(live, adjusted(x, shift, scale, column, live), float("-inf"))
    q = tl.load(mix + mix_start + column, mask=live, other=0.0).to(ACC)
    label_logit = x
    if margin is not None:
        taken = tl.load(margin + column, mask=live, other=0.0)
        if scale is not None:
            taken = taken * scale
        label_logit = x - taken
    possible = x > float("-inf")
    label_logit = tl.where(possible, label_logit, -1e30)
    return column, live, x, q, label_logit, possible


@triton.jit
def mixture_stream(z, out, mix, keep, weight, offset, share, shift, scale, margin, losses, N, C, stride, out_stride,
                   K: tl.constexpr, T: tl.constexpr, J: tl.constexpr, VEC: tl.constexpr, ALIGNED: tl.constexpr,
                   GRADIENT: tl.constexpr):
    """One row: its largest logit, its sums, every class as the label, and the gradient."""
    row = tl.program_id(0).to(tl.int64)
    ok = True
    if keep is not None:
        ok = tl.load(keep + row) != 0
    if ok:
        start, middle, head, length = split(row, stride, C, VEC, ALIGNED)
        mix_start = row * C
        m = tl.full((T,), float("-inf"), ACC)
        place = tl.zeros((T,), tl.int32)
        for i in range(0, C, T):
            column, live, x, q, label_logit, possible = stretch(
                z, mix, start, mix_start, i, C, 0, shift, scale, margin, T)
            place = tl.where(x > m, column, place)
            m = tl.maximum(m, x)
        top = tl.max(m, axis=0)
        best = tl.min(tl.where(m == top, place, C), axis=0)
        masked = top == float("-inf")
        top = tl.where(masked, 0.0, top)
        own = adjusted_label(tl.load(z + start + best), best, shift, scale, margin)
        own = tl.where(masked, -1e30, own)
        share_of_best = tl.load(mix + mix_start + best).to(ACC)
        second, S$sums = sums_of_row(z, start, middle, head, length, best, 0.0, C, shift, scale, None, K, T, J, ALIGNED)
        loss, own_slope$k = compute(second, S$sums, own, best.to(ACC), own * 0.0, share_of_best)
        loss = loss_of_row(loss, masked, share_of_best)
        loss = tl.where(share_of_best != 0.0, loss, 0.0)
        own_slope = tl.where(masked | (share_of_best == 0.0), 0.0, own_slope)
        $k_if_any
        moved_sums = moved(second, top, S$sums)
        $take_moved
        $add_best
        $no_debts
        total = tl.zeros((T,), ACC)
        for i in range(0, C, T):
            column, live, x, q, label_logit, possible = stretch(
                z, mix, start, mix_start, i, C, best, shift, scale, margin, T)
            each, owed_own$owed = others(x, label_logit, column.to(ACC), top$all)
            counts = (q != 0.0) & (column != best)
            each = loss_of_row(each, possible == 0, q)
            total += tl.where(counts, each, 0.0)
            $weigh_debts
            $collect
        loss += tl.sum(total, axis=0)
        $collected
        if offset is not None:
            loss += tl.load(offset + row)
        weight_of_row, scaled = weights_of_row(own, row, True, weight, share, None)
        tl.store(losses + row, loss * weight_of_row)
        if GRADIENT:
            tl.debug_barrier()
            if scale is not None:
                scaled = scaled * scale
            for i in range(0, C, T):
                column, live, x, q, label_logit, possible = stretch(
                    z, mix, start, mix_start, i, C, best, shift, scale, margin, T)
                each, owed_own$owed = others(x, label_logit, column.to(ACC), top$all)
                counts = (q != 0.0) & (column != best)
                $weigh_debts
                $uncounted
                g = tl.where(counts & possible, owed_own * q, 0.0)
                $pay
                hit = column == best
                g += tl.where(hit, own_slope, slope(tl.where(hit, float("-inf"), x), second$k))
                g = g * scaled
                tl.store(out + row * out_stride + column, g.to(out.dtype.element_ty), mask=live)
    else:
        tl.store(losses + row, 0.0)
        if GRADIENT:
            blank(out, row, out_stride, C, T, VEC, ALIGNED)
'''
