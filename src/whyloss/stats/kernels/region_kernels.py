"""The sums of regions and their pull-back in Triton, on channel-first logits as they are; region.py starts them.

A thread owns its pixels and all their classes: the softmax stays in its registers, and so do its sums of each class
until it has seen all its pixels. Labels are read in the integer type they have. Many classes do not fit the registers:
there the largest logit and the sum of exponentials of a pixel come first, and then planes go by a few at a time.

The label is taken out of the exponentials before they are summed, so that what is left of a sure pixel's probabilities
is no difference of ones.
A grid's first axis is images (or their planes) times `programs`, which share the pixels of one."""

# ruff: noqa: RUF005, B007 - Triton grows a tuple by adding to it, and counts with a variable that may go unused
# pyright: basic, reportMissingImports=false, reportGeneralTypeIssues=false

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)
LEAST = tl.constexpr(-1e30)  # below every logit that matters; minus infinity less minus infinity is no number


# --- the softmax link: labels -----------------------------------------------------------------------------------------


@triton.jit
def _pixel(label, weight, o, P, ts, us, ignore, WEIGHTED: tl.constexpr):
    """The label of each pixel, -1 where it counts for nothing, and what it counts for."""
    t = tl.load(label + o * ts, mask=o < P, other=0).to(tl.int64)
    counts = (o < P) & (t != ignore)
    if WEIGHTED:
        u = tl.where(counts, tl.load(weight + o * us, mask=o < P, other=0.0), 0.0)
        counts = u != 0.0
    else:
        u = tl.where(counts, 1.0, 0.0)
    return tl.where(counts, t, -1).to(tl.int32), counts, u


@triton.jit
def _pixels(first, B: tl.constexpr, WIDE: tl.constexpr):
    """Pixels from `first` on; their numbers times a stride may need 64 bits."""
    o = first + tl.arange(0, B)
    return o.to(tl.int64) if WIDE else o


@triton.jit
def _exp(x):
    return tl.exp2(x * LOG2E)


@triton.jit
def _logits(plane, o, P, sp, counts):
    """The mask of the access knows no labels, so that it is a wide one; what does not count is put right after it."""
    return tl.where(counts, tl.load(plane + o * sp, mask=o < P, other=0.0).to(tl.float32), 0.0)


@triton.jit
def normalise(
    z, label, weight, given, programs, P, C, sn, sc, sp, tn, ts, un, us, ignore,
    B: tl.constexpr, WIDE: tl.constexpr, WEIGHTED: tl.constexpr,
):  # fmt: skip
    """Of many classes: the largest logit of each pixel, and its weight over its sum of exponentials, [N, 2, P]."""
    n = (tl.program_id(0) // programs).to(tl.int64)
    first = tl.program_id(0) % programs * B
    o = _pixels(first, B, WIDE)
    for _ in range(first, P, programs * B):
        _, counts, u = _pixel(label + n * tn, weight + n * un, o, P, ts, us, ignore, WEIGHTED)
        plane = z + n * sn
        m = tl.full((B,), LEAST, tl.float32)
        total = tl.zeros((B,), tl.float32)
        for c in range(C):
            x = _logits(plane, o, P, sp, counts)
            top = tl.maximum(m, x)
            total = total * _exp(m - top) + _exp(x - top)
            m = top
            plane += sc
        tl.store(given + 2 * n * P + o, m, mask=o < P)
        tl.store(given + (2 * n + 1) * P + o, u / total, mask=o < P)
        o += programs * B


@triton.jit
def sums(
    z, label, weight, given, partial, programs, P, C, sn, sc, sp, tn, ts, un, us, ignore,
    K: tl.constexpr, B: tl.constexpr, WIDE: tl.constexpr, WEIGHTED: tl.constexpr, GIVEN: tl.constexpr,
):  # fmt: skip
    """Intersection, prediction, target and pixels of K classes over some of an image's pixels: [N, programs, 4, C]."""
    n = (tl.program_id(0) // programs).to(tl.int64)
    begin = tl.program_id(1) * K
    zero = tl.zeros((B,), tl.float32)
    hits, found, held = (), (), ()
    for _ in tl.static_range(K):
        hits, found, held = hits + (zero,), found + (zero,), held + (zero,)
    seen = zero
    z += n * sn
    label += n * tn
    weight += n * un
    step = programs * B
    first = tl.program_id(0) % programs * B
    o = _pixels(first, B, WIDE)
    for _ in range(first, P, step):
        y, counts, u = _pixel(label, weight, o, P, ts, us, ignore, WEIGHTED)
        y -= begin
        es, plane = (), z
        if GIVEN:
            m = tl.load(given + 2 * n * P + o, mask=o < P, other=0.0)
            r = tl.load(given + (2 * n + 1) * P + o, mask=o < P, other=0.0)
            for c in tl.static_range(K):
                plane = z + tl.minimum(begin + c, C - 1).to(tl.int64) * sc  # past the last: read, and never stored
                x = _logits(plane, o, P, sp, counts)
                es = es + (_exp(x - m),)
        else:
            m = tl.full((B,), LEAST, tl.float32)
            xs = ()
            for c in tl.static_range(K):
                x = _logits(plane, o, P, sp, counts)
                m = tl.maximum(m, x)
                xs = xs + (x,)
                plane += sc
            total = tl.zeros((B,), tl.float32)
            for c in tl.static_range(K):
                e = _exp(xs[c] - m)
                total += e
                es = es + (e,)
            r = u / total
        more_hits, more_found, more_held = (), (), ()
        for c in tl.static_range(K):
            p = es[c] * r
            more_hits = more_hits + (hits[c] + tl.where(y == c, p, 0.0),)
            more_found = more_found + (found[c] + p,)
            more_held = more_held + (held[c] + tl.where(y == c, u, 0.0),)
        hits, found, held = more_hits, more_found, more_held
        seen += u
        o += step
    own = partial + tl.program_id(0).to(tl.int64) * 4 * C + begin
    all_seen = tl.sum(seen, axis=0)
    for c in tl.static_range(K):
        inside = begin + c < C
        tl.store(own + c, tl.sum(hits[c], axis=0), mask=inside)
        tl.store(own + C + c, tl.sum(found[c], axis=0), mask=inside)
        tl.store(own + 2 * C + c, tl.sum(held[c], axis=0), mask=inside)
        tl.store(own + 3 * C + c, all_seen, mask=inside)


@triton.jit
def _slopes(slopes, upstream, programs, C):
    """Where the slopes of predictions begin, and what the gradient is multiplied by: in a verdict one number follows
    the slopes [2, N, C], the loss's share of its total."""
    regions = tl.num_programs(0) // programs * C
    factor = 1.0
    if upstream is not None:
        factor = tl.load(upstream) * tl.load(slopes + 2 * regions)
    return slopes + regions, factor


@triton.jit
def _label_factors(intersection, prediction, n, C, y, u, own, others, rest):
    """(what the gradient is e times the slope less this, the factor of that, the gradient at the label)."""
    at = n * C + tl.maximum(y, 0)
    w = tl.load(intersection + at) + tl.load(prediction + at)
    r = 1.0 / (own + others)
    ahead = (w * others - rest) * r  # w_t - sum_k p_k w_k, as sum_k p_k (w_t - w_k)
    return w - ahead, r * u, own * (r * u) * ahead


@triton.jit
def pull_back(
    z, label, weight, intersection, upstream, out, programs, P, sn, sc, sp, dn, dc, dp, tn, ts, un, us, ignore,
    C: tl.constexpr, B: tl.constexpr, WIDE: tl.constexpr, WEIGHTED: tl.constexpr,
):  # fmt: skip
    """The gradient of the logits, times `upstream`."""
    prediction, factor = _slopes(intersection, upstream, programs, C)
    n = (tl.program_id(0) // programs).to(tl.int64)
    slopes = ()
    for c in tl.static_range(C):
        slopes = slopes + (tl.load(prediction + n * C + c),)
    z += n * sn
    out += n * dn
    label += n * tn
    weight += n * un
    step = programs * B
    first = tl.program_id(0) % programs * B
    o = _pixels(first, B, WIDE)
    for _ in range(first, P, step):
        y, counts, u = _pixel(label, weight, o, P, ts, us, ignore, WEIGHTED)
        m = tl.full((B,), LEAST, tl.float32)
        xs, plane = (), z
        for c in tl.static_range(C):
            x = _logits(plane, o, P, sp, counts)
            m = tl.maximum(m, x)
            xs = xs + (x,)
            plane += sc
        own = tl.zeros((B,), tl.float32)
        others = tl.where(counts, 0.0, 1.0)
        rest = tl.zeros((B,), tl.float32)
        es = ()
        for c in tl.static_range(C):
            e = _exp(xs[c] - m)
            own = tl.where(y == c, e, own)
            e = tl.where(y == c, 0.0, e)
            others += e
            rest += e * slopes[c]
            es = es + (e,)
        s, r, at_label = _label_factors(intersection, prediction, n, C, y, u * factor, own, others, rest)
        plane = out
        for c in tl.static_range(C):
            v = tl.where(y == c, at_label, es[c] * r * (slopes[c] - s))
            tl.store(plane + o * dp, v.to(out.dtype.element_ty), mask=o < P)
            plane += dc
        o += step


@triton.jit
def pull_back_many(
    z, label, weight, intersection, upstream, out, programs, P, C, sn, sc, sp, dn, dc, dp, tn, ts, un, us, ignore,
    B: tl.constexpr, WIDE: tl.constexpr, WEIGHTED: tl.constexpr,
):  # fmt: skip
    """The same of many classes: the planes of a few pixels are read twice, the second time from the cache."""
    prediction, factor = _slopes(intersection, upstream, programs, C)
    n = (tl.program_id(0) // programs).to(tl.int64)
    first = tl.program_id(0) % programs * B
    o = _pixels(first, B, WIDE)
    for _ in range(first, P, programs * B):
        y, counts, u = _pixel(label + n * tn, weight + n * un, o, P, ts, us, ignore, WEIGHTED)
        m = tl.full((B,), LEAST, tl.float32)
        own = tl.zeros((B,), tl.float32)
        others = tl.zeros((B,), tl.float32)
        rest = tl.zeros((B,), tl.float32)
        plane = z + n * sn
        for c in range(C):
            x = _logits(plane, o, P, sp, counts)
            top = tl.maximum(m, x)
            shrink, e = _exp(m - top), _exp(x - top)
            own = tl.where(y == c, e, own * shrink)
            e = tl.where(y == c, 0.0, e)
            others = others * shrink + e
            rest = rest * shrink + e * tl.load(prediction + n * C + c)
            m = top
            plane += sc
        s, r, at_label = _label_factors(intersection, prediction, n, C, y, u * factor, own, others, rest)
        plane = z + n * sn
        target = out + n * dn
        for c in range(C):
            x = _logits(plane, o, P, sp, counts)
            v = _exp(x - m) * r * (tl.load(prediction + n * C + c) - s)
            v = tl.where(y == c, at_label, v)
            tl.store(target + o * dp, v.to(out.dtype.element_ty), mask=o < P)
            plane += sc
            target += dc
        o += programs * B


# --- the sigmoid link: a mask for each class --------------------------------------------------------------------------


@triton.jit
def _switch(z, mask, weight, o, P, sp, tp, us, ignore, WEIGHTED: tl.constexpr):
    """The mask, what its pixels count for, e^-|x|, and whether x is negative."""
    t = tl.load(mask + o * tp, mask=o < P, other=0).to(tl.float32)
    counts = (o < P) & (t != ignore)
    if WEIGHTED:
        u = tl.where(counts, tl.load(weight + o * us, mask=o < P, other=0.0), 0.0)
        counts = u != 0.0
    else:
        u = tl.where(counts, 1.0, 0.0)
    x = _logits(z, o, P, sp, counts)
    return tl.where(counts, t, 0.0), u, _exp(-tl.abs(x)), x < 0.0


@triton.jit
def switch_sums(
    z, mask, weight, partial, programs, P, C, sn, sc, sp, tn, tc, tp, un, us, ignore,
    B: tl.constexpr, WIDE: tl.constexpr, WEIGHTED: tl.constexpr,
):  # fmt: skip
    """Intersection, prediction, target and pixels of one class over some of an image's pixels: [N, programs, 4, C]."""
    plane = (tl.program_id(0) // programs).to(tl.int64)
    n, c = plane // C, plane % C
    hits = tl.zeros((B,), tl.float32)
    found = tl.zeros((B,), tl.float32)
    held = tl.zeros((B,), tl.float32)
    seen = tl.zeros((B,), tl.float32)
    first = tl.program_id(0) % programs * B
    o = _pixels(first, B, WIDE)
    step = programs * B
    for _ in range(first, P, step):
        t, u, e, negative = _switch(
            z + n * sn + c * sc, mask + n * tn + c * tc, weight + n * un, o, P, sp, tp, us, ignore, WEIGHTED
        )
        p = tl.where(negative, e, 1.0) / (1.0 + e) * u
        hits += p * t
        found += p
        held += t * u
        seen += u
        o += step
    own = partial + (n * programs + tl.program_id(0) % programs) * 4 * C + c
    tl.store(own, tl.sum(hits, axis=0))
    tl.store(own + C, tl.sum(found, axis=0))
    tl.store(own + 2 * C, tl.sum(held, axis=0))
    tl.store(own + 3 * C, tl.sum(seen, axis=0))


@triton.jit
def switch_pull_back(
    z, mask, weight, intersection, upstream, out, programs, P, C, sn, sc, sp, dn, dc, dp, tn, tc, tp, un, us, ignore,
    B: tl.constexpr, WIDE: tl.constexpr, WEIGHTED: tl.constexpr,
):  # fmt: skip
    prediction, factor = _slopes(intersection, upstream, programs, 1)  # a plane is a region
    plane = (tl.program_id(0) // programs).to(tl.int64)
    n, c = plane // C, plane % C
    first = tl.program_id(0) % programs * B
    o = _pixels(first, B, WIDE)
    slope, hit = tl.load(prediction + plane) * factor, tl.load(intersection + plane) * factor
    for _ in range(first, P, programs * B):
        t, u, e, _ = _switch(
            z + n * sn + c * sc, mask + n * tn + c * tc, weight + n * un, o, P, sp, tp, us, ignore, WEIGHTED
        )
        v = u * (slope + t * hit) * e / ((1.0 + e) * (1.0 + e))  # p (1 - p), and neither rounds to 0
        tl.store(out + n * dn + c * dc + o * dp, v.to(out.dtype.element_ty), mask=o < P)
        o += programs * B
