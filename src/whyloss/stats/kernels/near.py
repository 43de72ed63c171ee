"""The sums of a long row relative to its label's logit, as Triton source.

That logit is known before the row is read. Relative to it no largest logit is looked for, nothing is moved when one is
found, and while no class is masked nothing has to be compared: five instructions for a class where source.py's
`accumulate` needs ten. Where the label is far from the others its sums overflow or vanish; the kernel sees that, and
takes them again relative to the largest."""

from collections.abc import Mapping, Sequence
from math import isinf
from typing import Any

from whyloss.stats.kernels.plan import Plan
from whyloss.stats.kernels.source import CELL, Writer

# What a cell is where no class is masked, as an expression of x and u.
MADE = {"z": "x", "v": "u", "live": "tl.full(x.shape, 1.0, ACC)"}
POWERS = ("z", "v", "u")  # cells that are infinite at a masked class, and with them their sum
BITS = 80.0  # powers of two that sums may reach either way: float32 ends at 126


def fits(w: Writer, plan: Plan, sums: Sequence[str]) -> bool:
    """Whether all sums can be so, and one of them tells of masked classes if that matters."""
    if plan.largest or any(isinf(plan.sums[name].degree) for name in sums):
        return False
    return any(_tells(w, w.ends[f"sum {name}"]) for name in sums) or not minds(w, sums)


def minds(w: Writer, sums: Sequence[str]) -> bool:
    """Whether it matters that a class is masked."""
    ends = [*(w.ends[f"sum {name}"] for name in sums), w.ends["slope"]]
    return bool({w.input(line) for line in w.needed(ends, cells=True)} & {"live", *POWERS})


def _tells(w: Writer, line: Any) -> bool:
    """Whether a masked class makes it infinite, or no number."""
    if not isinstance(line, int):
        return False
    operation, *arguments = w.lines[line]
    return w.input(line) in POWERS or (operation == "mul" and any(_tells(w, a) for a in arguments))


def functions(w: Writer, plan: Plan, sums: Sequence[str], extra: Sequence[str], given: Mapping[int, str]) -> list[str]:
    """near: a tile without masked classes, added to the sums. close: whether the sums of a row are what they should be.
    slope_near: from a logit to its gradient."""
    ends = [w.ends[f"sum {n}"] for n in sums]
    known = {**CELL, **MADE}
    added = {n: f"tl.sum({w.value(end, known, {})}, axis=0)" for n, end in zip(sums, ends, strict=True)}
    for name, end in zip(sums, ends, strict=True):
        if isinstance(end, int) and w.input(end) == "live":
            added[name] = "x.shape[0]"
    frame, slope = ["S", *sums], w.ends["slope"]
    limit = 2.0 ** (BITS / max([2.0, *(plan.sums[name].degree for name in sums)]))
    conditions = [f"(S > {1 / limit!r}) & (S < {limit!r})", *(f"(tl.abs({name}) < 1e30)" for name in sums)]
    value = w.value(slope, known, given)
    return [
        f"""@triton.jit
def near({", ".join(["x", *extra, "own", *frame])}):
    u = x - own
    e = tl.exp2(u * LOG2E)
    {w.assignments(ends, True, known, {})}
    return {", ".join(["S + tl.sum(e, axis=0)", *(f"{n} + {added[n]}" for n in sums)])}
""",
        f"""@triton.jit
def close({", ".join(frame)}):
    return {" & ".join(conditions)}
""",
        f"""@triton.jit
def slope_near({", ".join(["x", *extra, "top", *given.values()])}):
    u = x - top
    e = tl.exp2(u * LOG2E)
    {w.assignments([slope], True, known, given)}
    return {value if slope in w.cells else f"tl.zeros_like(x) + {value}"}
""",
    ]


def filling(w: Writer, sums: Sequence[str], entry: bool) -> dict[str, Any]:
    """What stands for the templates' placeholders. A tile's sums tell of masked classes by themselves; what is added
    here with care does not, and says so in S."""
    frame, told = ["S", *sums], minds(w, sums)
    made = f"added = terms(x{', entry' if entry else ''}, own, own)"
    gone = "tl.where({live} & (x == float('-inf')), float('inf'), {zero})"
    of_tile = f"S += tl.sum({gone.format(live='live', zero='0.0')}, axis=0)"
    of_ends = f"S += {gone.format(live='live & (column != y)', zero='0.0')}"
    known = "anew & (tl.abs({n}) < 1e30)" if told else "anew"
    anew = f"{{n}} = tl.where({known}, tl.sum(added[{{i}}], axis=0), {{n}})"
    return {
        "add_tile": [made, *(f"{n} += tl.sum(added[{i}], axis=0)" for i, n in enumerate(frame)), *[of_tile] * told],
        "add_anew": [made, *(anew.format(n=n, i=i) for i, n in enumerate(frame))],
        "add_ends": [made, *(f"{n} += added[{i}]" for i, n in enumerate(frame)), *[of_ends] * told],
        "reduced": ", ".join(f"tl.sum({n}, axis=0)" for n in frame),
    }
