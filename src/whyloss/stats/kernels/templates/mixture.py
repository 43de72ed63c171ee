"""Kernels for soft targets: mix [N, C] in place of labels. offset [N] is added to the loss before it is weighted.

NORMALIZED: the loss of a label counts as its share of the sum of the losses of all labels; the target may be labels
then, too."""

SHARED = '''@triton.jit
def logit_as_label(x, margin, scale, column, live):
    """What a class's logit is when the class is the label, and whether it may be one."""
    label_logit = x
    if margin is not None:
        label_logit = x - times(tl.load(margin + column, mask=live, other=0.0), scale, column, live)
    possible = x > float("-inf")
    return tl.where(possible, label_logit, IMPOSSIBLE), possible


@triton.jit
def slope_of_share(q, possible, column, at, value, all_losses, slope_of_largest):
    """The slope of the mixture of shares in the loss of each label. That of the largest loss, `at`, would cancel."""
    found = tl.where(column == at, slope_of_largest, (q - value) / all_losses)
    return tl.where(possible, found, 0.0)
'''

SHORT = '''@triton.jit
def mixture_small(z, out, label, mix, keep, weight, offset, share, shift, scale, margin, losses, N, C, stride,
                  out_stride, R: tl.constexpr, B: tl.constexpr, VEC: tl.constexpr, GRADIENT: tl.constexpr,
                  NORMALIZED: tl.constexpr):
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
    if label is not None:
        y = tl.load(label + row, mask=ok, other=0).to(tl.int32)
        q = tl.where(live & (column == y[:, None]), 1.0, 0.0).to(ACC)
    else:
        q = tl.load(mix + row[:, None] * C + column, mask=live, other=0.0).to(ACC)
    label_logit, possible = logit_as_label(x, margin, scale, column, column < C)
    top = tl.max(x, axis=1)
    best = tl.min(tl.where(x == top[:, None], column, B), axis=1)
    top = tl.where(top == float("-inf"), 0.0, top)
    hit = column == best[:, None]
    own = tl.sum(tl.where(hit, label_logit, 0.0), axis=1)
    masked = own == IMPOSSIBLE
    rest = tl.where(hit, float("-inf"), x)
    second, S$sums = whole(rest, 0.0)
    moved_sums = moved(second, top, S$sums)
    $take_moved
    $add_best
    each, owed_own$owed = others(x, label_logit, column.to(ACC), top[:, None]$all_column)
    if NORMALIZED:
        of_best, unused_slope$unused_k = compute(second, S$sums, own, best.to(ACC), own * 0.0, own * 0.0 + 1.0)
        every = tl.where(hit, of_best[:, None], each)
        every = tl.where(possible, every, 0.0)
        asked = tl.where(possible, q, 0.0)
        most = tl.max(every, axis=1)
        at = tl.min(tl.where(every == most[:, None], column, B), axis=1)
        largest = column == at[:, None]
        share_of_largest = tl.sum(tl.where(largest, asked, 0.0), axis=1)
        of_others = tl.sum(tl.where(largest, 0.0, every), axis=1)
        mixed = tl.sum(tl.where(largest, 0.0, asked * every), axis=1)
        all_losses = of_others + most
        value = (mixed + share_of_largest * most) / all_losses
        slope_of_largest = (share_of_largest * of_others - mixed) / (all_losses * all_losses)
        loss = value + tl.sum(tl.where(possible, 0.0, q), axis=1)
        q = slope_of_share(asked, possible, column, at[:, None], value[:, None], all_losses[:, None],
                           slope_of_largest[:, None])
    share_of_best = tl.sum(tl.where(hit, q, 0.0), axis=1)
    loss_of_best, own_slope$k = compute(second, S$sums, own, best.to(ACC), own * 0.0, share_of_best)
    own_slope = tl.where(masked | (share_of_best == 0.0), 0.0, own_slope)
    $k_if_any
    counts = (q != 0.0) & (column != best[:, None])
    if not NORMALIZED:
        loss = loss_of_row(loss_of_best, masked, share_of_best)
        loss = tl.where(share_of_best != 0.0, loss, 0.0)
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
def stretch(z, y, mix, start, mix_start, i, C, shift, scale, margin, T: tl.constexpr):
    """T classes of a row: logits, the logits they have as labels, and their shares of the target."""
    column = i + tl.arange(0, T)
    live = column < C
    x = tl.load(z + start + column, mask=live, other=float("-inf")).to(ACC)
    x = tl.where(live, adjusted(x, shift, scale, column, live), float("-inf"))
    if mix is not None:
        q = tl.load(mix + mix_start + column, mask=live, other=0.0).to(ACC)
    else:
        q = tl.where(column == y, 1.0, 0.0).to(ACC)
    label_logit, possible = logit_as_label(x, margin, scale, column, live)
    return column, live, x, q, label_logit, possible


@triton.jit
def mixture_stream(z, out, label, mix, keep, weight, offset, share, shift, scale, margin, losses, N, C, stride,
                   out_stride, K: tl.constexpr, T: tl.constexpr, J: tl.constexpr, VEC: tl.constexpr,
                   ALIGNED: tl.constexpr, GRADIENT: tl.constexpr, NORMALIZED: tl.constexpr):
    """One row: its largest logit, its sums, every class as the label, and the gradient."""
    row = tl.program_id(0).to(tl.int64)
    ok = True
    if keep is not None:
        ok = tl.load(keep + row) != 0
    if ok:
        start, middle, head, length = split(row, stride, C, VEC, ALIGNED)
        mix_start = row * C
        y = 0
        if label is not None:
            y = tl.load(label + row).to(tl.int32)
        m = tl.full((T,), float("-inf"), ACC)
        place = tl.zeros((T,), tl.int32)
        for i in range(0, C, T):
            column, live, x, q, label_logit, possible = stretch(
                z, y, mix, start, mix_start, i, C, shift, scale, margin, T)
            place = tl.where(x > m, column, place)
            m = tl.maximum(m, x)
        top = tl.max(m, axis=0)
        best = tl.min(tl.where(m == top, place, C), axis=0)
        masked = top == float("-inf")
        top = tl.where(masked, 0.0, top)
        own = adjusted_label(tl.load(z + start + best), best, shift, scale, margin)
        own = tl.where(masked, IMPOSSIBLE, own)
        second, S$sums = sums_of_row(z, start, middle, head, length, best, 0.0, C, shift, scale, None, K, T, J, ALIGNED)
        moved_sums = moved(second, top, S$sums)
        $take_moved
        $add_best
        if mix is not None:
            share_of_best = tl.load(mix + mix_start + best).to(ACC)
        else:
            share_of_best = tl.where(best == y, 1.0, 0.0).to(ACC)
        if NORMALIZED:
            of_best, unused_slope$unused_k = compute(second, S$sums, own, best.to(ACC), own * 0.0, own * 0.0 + 1.0)
            of_best = tl.where(masked, 0.0, of_best)
            # A lane's largest loss, its share of the target and its class, and sums of the lane's others.
            most = tl.zeros((T,), ACC)
            share_of_largest = tl.zeros((T,), ACC)
            at = tl.full((T,), -1, tl.int32)
            of_others = tl.zeros((T,), ACC)
            mixed = tl.zeros((T,), ACC)
            lost = tl.zeros((T,), ACC)
            for i in range(0, C, T):
                column, live, x, q, label_logit, possible = stretch(
                    z, y, mix, start, mix_start, i, C, shift, scale, margin, T)
                each, owed_own$owed = others(x, label_logit, column.to(ACC), top$all)
                every = tl.where(column == best, of_best, each)
                every = tl.where(possible, every, 0.0)
                lost += tl.where(possible, 0.0, q)
                asked = tl.where(possible, q, 0.0)
                larger = every > most
                less = tl.where(larger, most, every)
                of_others += less
                mixed += less * tl.where(larger, share_of_largest, asked)
                share_of_largest = tl.where(larger, asked, share_of_largest)
                at = tl.where(larger, column, at)
                most = tl.where(larger, every, most)
            lane = tl.arange(0, T)
            largest = lane == tl.min(tl.where(most == tl.max(most, axis=0), lane, T), axis=0)
            of_others = tl.sum(of_others + tl.where(largest, 0.0, most), axis=0)
            mixed = tl.sum(mixed + tl.where(largest, 0.0, most * share_of_largest), axis=0)
            at = tl.sum(tl.where(largest, at, 0), axis=0)
            share_of_largest = tl.sum(tl.where(largest, share_of_largest, 0.0), axis=0)
            most = tl.sum(tl.where(largest, most, 0.0), axis=0)
            all_losses = of_others + most
            value = (mixed + share_of_largest * most) / all_losses
            slope_of_largest = (share_of_largest * of_others - mixed) / (all_losses * all_losses)
            known = own > IMPOSSIBLE
            share_of_best = slope_of_share(share_of_best, known, best, at, value, all_losses, slope_of_largest)
        loss, own_slope$k = compute(second, S$sums, own, best.to(ACC), own * 0.0, share_of_best)
        own_slope = tl.where(masked | (share_of_best == 0.0), 0.0, own_slope)
        $k_if_any
        $no_debts
        total = tl.zeros((T,), ACC)
        for i in range(0, C, T):
            column, live, x, q, label_logit, possible = stretch(
                z, y, mix, start, mix_start, i, C, shift, scale, margin, T)
            each, owed_own$owed = others(x, label_logit, column.to(ACC), top$all)
            if NORMALIZED:
                q = slope_of_share(q, possible, column, at, value, all_losses, slope_of_largest)
            counts = (q != 0.0) & (column != best)
            each = loss_of_row(each, possible == 0, q)
            total += tl.where(counts, each, 0.0)
            $weigh_debts
            $collect
        if NORMALIZED:
            loss = value + tl.sum(lost, axis=0)
        else:
            loss = tl.where(share_of_best != 0.0, loss_of_row(loss, masked, share_of_best), 0.0)
            loss += tl.sum(total, axis=0)
        $collected
        if offset is not None:
            loss += tl.load(offset + row)
        weight_of_row, scaled = weights_of_row(own, row, True, weight, share, None)
        tl.store(losses + row, loss * weight_of_row)
        if GRADIENT:
            tl.debug_barrier()
            for i in range(0, C, T):
                column, live, x, q, label_logit, possible = stretch(
                    z, y, mix, start, mix_start, i, C, shift, scale, margin, T)
                each, owed_own$owed = others(x, label_logit, column.to(ACC), top$all)
                if NORMALIZED:
                    q = slope_of_share(q, possible, column, at, value, all_losses, slope_of_largest)
                counts = (q != 0.0) & (column != best)
                $weigh_debts
                $uncounted
                g = tl.where(counts & possible, owed_own * q, 0.0)
                $pay
                hit = column == best
                g += tl.where(hit, own_slope, slope(tl.where(hit, float("-inf"), x), second$k))
                g = times(g * scaled, scale, column, live)
                tl.store(out + row * out_stride + column, g.to(out.dtype.element_ty), mask=live)
    else:
        tl.store(losses + row, 0.0)
        if GRADIENT:
            blank(out, row, out_stride, C, T, VEC, ALIGNED)
'''
