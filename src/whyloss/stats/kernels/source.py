"""A plan as Triton source: a few small functions that the templates call, and the templates themselves.

accumulate: one tile of a row, added to the running sums. finish: the lanes' sums, brought together. whole: the sums of
rows in one piece. compute: from sums to loss and coefficients. slope: from a logit and the coefficients to its
gradient."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isinf, isnan
from string import Template
from typing import Any

from whyloss.stats.kernels.plan import CELLS, Plan, simple
from whyloss.stats.kernels.templates import EAGER, NEAR, TRACED
from whyloss.stats.program import Graph, Program, shortened

SPELLED = {
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
    "div": "{} / {}",
    "neg": "-{}",
    "lt": "{} < {}",
    "le": "{} <= {}",
    "gt": "{} > {}",
    "ge": "{} >= {}",
    "and": "{} & {}",
    "or": "{} | {}",
    "not": "~{}",
    "exp": "tl.exp({})",
    "log": "tl.log({})",
    "sqrt": "tl.sqrt({})",
    "abs": "tl.abs({})",
    "where": "tl.where({}, {}, {})",
    # A NaN must not vanish in a comparison: a row of NaNs has the loss NaN.
    "maximum": "tl.maximum({}, {}, propagate_nan=tl.PropagateNan.ALL)",
    "minimum": "tl.minimum({}, {}, propagate_nan=tl.PropagateNan.ALL)",
    "sigmoid": "expit({})",
    **{name: name + "({})" for name in ("log1p", "expm1", "tanh", "expit", "log_sigmoid", "sign")},
    "logaddexp": "logaddexp({}, {})",
    "power": "power({}, {})",
}
# What a cell is, as an expression of x (minus infinity where the class does not count), u, and the table's row.
MADE = {
    "live": "tl.where(x > float('-inf'), 1.0, 0.0).to(ACC)",
    "z": "tl.where(x > float('-inf'), x, 0.0)",
    "v": "tl.where(x > float('-inf'), x - base, 0.0)",
    "tie": "tl.where(u == 0.0, 1.0, 0.0).to(ACC)",
    "entry": "entry",
}
MULTIPLIED = 6.0  # integer powers up to here are products


@dataclass(frozen=True)
class Source:
    """A kernel module's text, how many coefficients a row has, and, for a formula that is not in it, what happens
    between its passes in torch: from sums to statistics, and from their slopes to coefficients."""

    text: str
    coefficients: int
    sums: tuple[str, ...]
    near: bool = False  # whether sums may be relative to the label's logit
    statistics: Program | None = None
    pulled: Program | None = None


def written(plan: Plan, scales: bool) -> Source:
    """`scales`: the scale of the logits is one number for each class."""
    from whyloss.stats.kernels import near  # which is written in what stands here

    lines, ends = simple(plan)
    w = Writer(lines, ends)
    sums = tuple(n for n in plan.sums if f"sum {n}" in ends)
    coefficients = w.frontier(ends["slope"])
    names = [f"k{i}" for i in range(len(coefficients))]
    extra = ["entry"] if any(line == ("input", "entry") for line in lines) else []
    parts = accumulation(w, plan, sums, extra)
    if not plan.statistics:
        parts.append(computation(w, sums, coefficients))
    given = dict(zip(coefficients, names, strict=True))
    parts.append(slope_of_class(w, given, extra))
    fill = filling(sums, names, bool(extra), scales) | near.filling(w, sums, bool(extra))
    close = not plan.statistics and near.fits(w, plan, sums)
    templates = EAGER if plan.statistics else (*TRACED, NEAR) if close else TRACED
    parts += near.functions(w, plan, sums, extra, given) if close else []
    text = HEADER + "\n\n".join([*map(without_blanks, parts), *(filled(t, fill) for t in templates)])
    if not plan.statistics:
        return Source(text, len(names), sums, close)
    inputs = ("top", "own", "base", "S", *sums)
    statistics = as_torch(lines, {n: ends[f"statistic {n}"] for n in plan.statistics}, (*inputs, "label", "diagonal"))
    slopes = tuple(f"c_{n}" for n in plan.statistics)
    pulled = as_torch(
        lines, {"own": ends["own"], **dict(zip(names, coefficients, strict=True))}, (*inputs, *slopes, "weight")
    )
    return Source(text, len(names), sums, False, statistics, pulled)


def filling(sums: Sequence[str], k: Sequence[str], entry: bool, scales: bool) -> dict[str, Any]:
    """What stands for the placeholders: text, or lines."""

    def read(column: str, live: str) -> list[str]:
        row = "y.to(tl.int64)" if column != "column_of_row" else "y.to(tl.int64)[:, None]"
        place = column if column != "column_of_row" else "column"
        return [f"entry = tl.load(table + {row} * C + {place}, mask={live}, other=0.0)"] if entry else []

    frame = ["S", *sums]
    return {
        "scale": "tl.load(scale + column, mask=live, other=1.0)" if scales else "scale",
        "sums": "".join(f", {n}" for n in sums),
        "entry": ", entry" if entry else "",
        "k": "".join(f", {n}" for n in k),
        "k_column": "".join(f", {n}[:, None]" for n in k),
        "zeros_of_pixels": [f"{n} = tl.zeros((T,), ACC)" for n in frame],
        "add_terms": [
            f"added = terms(x{', entry' if entry else ''}, base, top)",
            *(f"{n} += added[{i}]" for i, n in enumerate(frame)),
        ],
        "entry_of_pixels": ["entry = tl.load(table + y.to(tl.int64) * C + c, mask=live, other=0.0)"] if entry else [],
        "entry_row": ", entry[None, :]" if entry else "",
        "zeros": [f"{n} = tl.zeros((T,), ACC)" for n in sums],
        "load_k": [f"{n} = tl.load(saved + {i + 2} * N + row)" for i, n in enumerate(k)],
        "save_k": [f"tl.store(saved + {i + 2} * N + row, {n})" for i, n in enumerate(k)],
        "load_k_here": [f"{n} = tl.load(saved + {i + 2} * N + row, mask=ok, other=0.0)" for i, n in enumerate(k)],
        "save_sums": [f"tl.store(saved + {i + 3} * N + row, {n})" for i, n in enumerate(sums)],
        "save_sums_here": [f"tl.store(saved + {i + 3} * N + row, {n}, mask=ok)" for i, n in enumerate(sums)],
        "entry_middle": read("head + o", "live"),
        "sums_anew": [
            f"_{''.join(f', n_{n}' for n in frame)} = whole(x[None, :]{', entry[None, :]' if entry else ''}, base)",
            *(f"{n} = tl.where(anew, n_{n}, {n})" for n in frame),
        ],
        "entry_column": read("column", "live"),
        "entry_lane": [*read("column", "live"), "entry = entry[None, :]"] if entry else [],
        "entry_rows": read("column_of_row", "live"),
    }


def filled(template: str, fill: Mapping[str, Any]) -> str:
    """Placeholders that stand alone on a line become lines of its indentation."""
    found = list[str]()
    for line in template.splitlines():
        name = line.strip().removeprefix("$")
        if line.strip().startswith("$") and isinstance(fill.get(name), list):
            found.extend(line[: len(line) - len(line.lstrip())] + text for text in fill[name])
        else:
            found.append(Template(line).substitute(fill))
    return "\n".join(found) + "\n"


def without_blanks(text: str) -> str:
    """Without the `pass` of what turned out to be nothing."""
    return "\n".join(line for line in text.splitlines() if line.strip() != "pass") + "\n"


def as_torch(lines: list[tuple[Any, ...]], ends: Mapping[str, Any], inputs: tuple[str, ...]) -> Program:
    """Lines as a program in torch, of the inputs that they read."""
    graph = Graph()
    graph.lines = list(lines)
    ends = {n: end if isinstance(end, int) else graph.add("constant", float(end)) for n, end in ends.items()}
    kept, found = shortened(graph, ends)
    used = tuple(n for n in inputs if ("input", n) in kept) or inputs[:1]
    return Program(used, kept, 0.0, found)


HEADER = "# Written by whyloss.stats.kernels.source.\n\n\n"


class Writer:
    """Lines of a graph as assignments."""

    def __init__(self, lines: list[tuple[Any, ...]], ends: Mapping[str, Any]):
        self.lines, self.ends = lines, ends
        self.cells: set[int] = set()  # the lines that differ from class to class
        for number, (operation, *arguments) in enumerate(lines):
            own = operation == "input" and arguments[0] in CELLS
            if own or any(a in self.cells for a in arguments if isinstance(a, int)):
                self.cells.add(number)

    def input(self, line: int) -> str | None:
        operation, *arguments = self.lines[line]
        return arguments[0] if operation == "input" else None

    def needed(self, ends: Iterable[Any], cells: bool | None) -> list[int]:
        """The lines behind the ends, in order; of cells, or of numbers per row; None: of both."""
        found = {e for e in ends if isinstance(e, int)}
        for line in range(len(self.lines) - 1, -1, -1):
            if line in found:
                found |= {a for a in self.lines[line][1:] if isinstance(a, int)}
        return [line for line in sorted(found) if cells is None or (line in self.cells) == cells]

    def frontier(self, end: Any) -> list[int]:
        """The numbers per row that the lines of cells behind this end read."""
        read = [a for line in self.needed([end], cells=True) for a in self.lines[line][1:] if isinstance(a, int)]
        read += [end] if isinstance(end, int) else []
        return [a for a in dict.fromkeys(read) if a not in self.cells]

    def assignments(
        self, ends: Iterable[Any], cells: bool | None, known: Mapping[str, str], given: Mapping[int, str]
    ) -> str:
        """`known`: inputs by name; `given`: lines that exist already."""
        found = list[str]()
        for line in self.needed(ends, cells):
            if line in given or self.input(line) is not None:
                continue
            found.append(f"v{line} = {self.spelled(line, known, given)}")
        return "\n    ".join(found) or "pass"

    def spelled(self, line: int, known: Mapping[str, str], given: Mapping[int, str]) -> str:
        operation, *arguments = self.lines[line]
        values = [self.value(a, known, given) for a in arguments]
        if operation == "pow":
            return _power(values, arguments[1])
        if operation == "where" and isinstance(arguments[1], float) and isinstance(arguments[2], float):
            where, *numbers = values  # two numbers alone would be float32, and rounded to it
            return f"tl.where({where}, {', '.join(f'tl.full((), {number}, ACC)' for number in numbers)})"
        return SPELLED[operation].format(*values)

    def value(self, end: Any, known: Mapping[str, str], given: Mapping[int, str]) -> str:
        if not isinstance(end, int):
            return _number(end)
        if end in given:
            return given[end]
        name = self.input(end)
        return f"v{end}" if name is None else known[name]


def _number(value: float) -> str:
    if isinf(value) or isnan(value):
        return f"float('{value}')"
    return repr(value) if value >= 0 else f"({value!r})"


def _power(values: list[str], exponent: Any) -> str:
    x, n = values
    if exponent == 0.5:
        return f"tl.sqrt({x})"
    if isinstance(exponent, float) and exponent.is_integer() and 1 <= abs(exponent) <= MULTIPLIED:
        product = " * ".join([x] * int(abs(exponent)))
        return product if exponent > 0 else f"1.0 / ({product})"
    return f"power({x}, {n})"


CELL = {
    "label_logit": "label_logit",
    "index": "index",
    "e": "e",
    "u": "u",
    "v": "v",
    "z": "z",
    "live": "live",
    "tie": "tie",
    "entry": "entry",
}


def made_cells(w: Writer, ends: Iterable[Any]) -> str:
    """The cells that these ends read, beyond e."""
    read = {w.input(line) for line in w.needed(ends, cells=True)}
    found = [f"{name} = {text}" for name, text in MADE.items() if name in read and name != "entry"]
    if "u" in read:
        found.append("u = tl.where(x > float('-inf'), u, 0.0)")
    return "\n    ".join(found) or "pass"


def shifted(plan: Plan, name: str) -> str:
    """An accumulator after the point that exponentials are relative to has moved."""
    if name == "S":
        return "S * r"
    part = plan.sums[name]
    text = name if part.companion is None else f"({name} + move * {part.companion})"
    factor = {0.0: "", 1.0: " * r", 2.0: " * (r * r)", inf: " * tl.where(move == 0.0, 1.0, 0.0)"}
    return text + factor.get(part.degree, f" * tl.exp2({part.degree!r} * move * LOG2E)")


def accumulation(w: Writer, plan: Plan, sums: Sequence[str], extra: Sequence[str]) -> list[str]:
    """The functions that take the sums of a row."""
    return [_accumulate(w, plan, sums, extra), _terms(w, sums, extra), _finish(plan, sums)]


def _accumulate(w: Writer, plan: Plan, sums: Sequence[str], extra: Sequence[str]) -> str:
    ends = [w.ends[f"sum {n}"] for n in sums]
    frame = ["S", *sums]
    values = {"S": "e", **{n: w.value(w.ends[f"sum {n}"], CELL, {}) for n in sums}}
    return f"""@triton.jit
def accumulate({", ".join(["x", *extra, "base", "m", *frame])}):
    # Lanes that have seen nothing keep minus infinity.
    n = tl.maximum(m, tl.max(x, axis=0))
    origin = tl.where(n == float("-inf"), 0.0, n)
    move = tl.where(m == float("-inf"), 0.0, m - origin)
    r = tl.exp2(move * LOG2E)
    u = x - origin[None, :]
    e = tl.exp2(u * LOG2E)
    {made_cells(w, ends)}
    {w.assignments(ends, True, CELL, {})}
    {_after([f"n_{n} = {shifted(plan, n)} + tl.sum({values[n]}, axis=0)" for n in frame])}
    return {", ".join(["n", *(f"n_{n}" for n in frame)])}


@triton.jit
def whole({", ".join(["x", *extra, "base"])}):
    # The sums of rows that are here from end to end.
    top = tl.max(x, axis=1)
    top = tl.where(top == float("-inf"), 0.0, top)
    u = x - top[:, None]
    e = tl.exp2(u * LOG2E)
    {made_cells(w, ends)}
    {w.assignments(ends, True, CELL, {})}
    {_after([f"n_{n} = tl.sum({values[n]}, axis=1)" for n in frame])}
    return {", ".join(["top", *(f"n_{n}" for n in frame)])}
"""


def _terms(w: Writer, sums: Sequence[str], extra: Sequence[str]) -> str:
    ends = [w.ends[f"sum {n}"] for n in sums]
    return f"""@triton.jit
def terms({", ".join(["x", *extra, "base", "top"])}):
    # What one class adds to the sums.
    u = x - top
    e = tl.exp2(u * LOG2E)
    {made_cells(w, ends)}
    {w.assignments(ends, True, CELL, {})}
    return {", ".join(["e", *(w.value(end, CELL, {}) for end in ends)]) + ("" if ends else ",")}
"""


def _finish(plan: Plan, sums: Sequence[str]) -> str:
    frame = ["S", *sums]
    return f"""@triton.jit
def finish({", ".join(["m", *frame])}):
    top = tl.max(m, axis=0)
    top = tl.where(top == float("-inf"), 0.0, top)
    move = tl.where(m == float("-inf"), 0.0, m - top)
    r = tl.exp2(move * LOG2E)
    {_after([f"n_{n} = tl.sum({shifted(plan, n)}, axis=0)" for n in frame])}
    return {", ".join(["top", *(f"n_{n}" for n in frame)])}
"""


def computation(w: Writer, sums: Sequence[str], coefficients: Sequence[int]) -> str:
    """From the sums to loss, the label's slope, and the coefficients of the others'."""
    inputs = ("top", "S", *sums, "own", "label", "diagonal", "weight")
    known = {**{name: name for name in inputs}, "base": "base"}
    ends = [w.ends["loss"], w.ends["own"], *coefficients]
    results = [w.value(end, known, {}) for end in ends]
    # A constant takes the shape of a row.
    results = [f"zero + {r}" if not isinstance(end, int) else r for r, end in zip(results, ends, strict=True)]
    return f"""@triton.jit
def compute({", ".join(inputs)}):
    zero = own * 0.0
    base = tl.where(own == IMPOSSIBLE, 0.0, own)
    {w.assignments(ends, False, known, {})}
    return {", ".join(results)}
"""


def slope_of_class(w: Writer, given: Mapping[int, str], extra: Sequence[str]) -> str:
    end = w.ends["slope"]
    value = w.value(end, CELL, given)
    return f"""@triton.jit
def slope({", ".join(["x", *extra, "top", *given.values()])}):
    u = x - top
    e = tl.exp2(u * LOG2E)
    {made_cells(w, [end])}
    {w.assignments([end], True, CELL, given)}
    return {value if end in w.cells else f"tl.zeros_like(x) + {value}"}
"""


def _after(lines: list[str]) -> str:
    return "\n    ".join(lines)
