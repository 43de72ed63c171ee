"""One loss on one case: every implementation checked, its memory counted, and all of them timed in turns.

What fails in an implementation becomes a row that says so; nothing of it reaches the others."""

import contextlib
import gc
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor

from .case import Case
from .clock import in_graph, take_turns
from .floors import Floors
from .implementations import Implementation
from .inputs import Inputs
from .memory import exhausted, peak_bytes
from .peers import Call
from .subjects import Subject
from .truth import Truth, truth, worst

Record = dict[str, Any]
SMALL = 2**26  # bytes of inputs up to which the host's part in the time is told apart by a CUDA graph
COPIES = 64  # at most
CACHE = 2**26  # bytes, where torch does not know them
WRONG = 1e-3  # a relative error that rounding in 16 bits may reach


@dataclass(frozen=True)
class Effort:
    """Rounds of each comparison, at most, and the seconds they may take."""

    rounds: int = 200
    seconds: float = 3.0


@dataclass
class Contestant:
    """An implementation and what became of it. `note` says why it has no figures."""

    implementation: Implementation
    call: Call | None = None
    value_error: float | None = None
    gradient_error: float | None = None
    bytes: int | None = None
    overwrites: bool = False
    note: str = ""
    graph: list[float | None] = field(default_factory=lambda: [None, None])

    @property
    def error(self) -> float | None:
        """The larger of the two; not a number if one of them is not."""
        if self.note or self.value_error is None or self.gradient_error is None:
            return None
        return worst([self.value_error, self.gradient_error])

    def attempt(self, work: Callable[[], object]) -> None:
        """Do it, unless something has failed before; what fails is noted."""
        if self.note:
            return
        try:
            work()
        except Exception as error:  # whatever a peer may raise
            self.note = first_line(error)


def compare(
    case: Case,
    subject: Subject,
    inputs: Inputs,
    implementations: Sequence[Implementation],
    floors: Floors,
    effort: Effort,
) -> list[Record]:
    """A record of each implementation, in their order."""
    # Peers and compilers have much to say; standard output is for the tables.
    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        return _compare(case, subject, inputs, implementations, floors, effort)


def _compare(
    case: Case,
    subject: Subject,
    inputs: Inputs,
    implementations: Sequence[Implementation],
    floors: Floors,
    effort: Effort,
) -> list[Record]:
    device = inputs.leaves[0].device.type
    clean = inputs.clone()  # some implementations write their gradient over the logits
    try:
        true = truth(case, subject, inputs)
    except (RuntimeError, MemoryError) as error:
        if not exhausted(error):
            raise
        true = None
    contestants = [Contestant(implementation) for implementation in implementations]
    for contestant in contestants:
        contestant.attempt(lambda c=contestant: _check(c, inputs, clean, true))
        _restore(contestant, inputs, clean)
        if not contestant.note and (device == "cuda" or contestant.implementation.family != "torch.compile"):
            # On the CPU the allocations of compiled code cannot be seen from here.
            contestant.attempt(lambda c=contestant: _weigh(c, inputs, device))
            _restore(contestant, inputs, clean)
    copies = _copies(inputs, device)
    times = _time(contestants, copies, clean, effort, device)
    _empty(device)
    return _records(case, subject, contestants, times, floors, device)


def _check(contestant: Contestant, inputs: Inputs, clean: Inputs, true: Truth | None) -> None:
    contestant.call = contestant.implementation.build()
    leaves = inputs.fresh()
    value = contestant.call(*leaves, inputs.target)
    found = torch.autograd.grad(value, leaves)
    if true is not None:
        contestant.value_error, contestant.gradient_error = true.value_error(value), true.gradient_error(found)
    contestant.overwrites = _changed(inputs, clean)


def _weigh(contestant: Contestant, inputs: Inputs, device: str) -> None:
    contestant.bytes = peak_bytes(lambda: _total(contestant, inputs), device)


def _total(contestant: Contestant, inputs: Inputs) -> tuple[Tensor, ...]:
    """Forward and backward. The gradients are returned, so that they live as long as those of a training step."""
    assert contestant.call is not None
    leaves = inputs.fresh()
    return torch.autograd.grad(contestant.call(*leaves, inputs.target), leaves)


def _forward(contestant: Contestant, inputs: Inputs) -> None:
    assert contestant.call is not None
    with torch.no_grad():
        contestant.call(*inputs.leaves, inputs.target)


def _time(
    contestants: Sequence[Contestant], copies: Sequence[Inputs], clean: Inputs, effort: Effort, device: str
) -> dict[tuple[int, str], list[float]]:
    def run(contestant: Contestant, work: Callable[[Contestant, Inputs], object], number: int) -> None:
        contestant.attempt(lambda: work(contestant, copies[number % len(copies)]))

    def after(key: tuple[int, str], number: int) -> None:
        _restore(contestants[key[0]], copies[number % len(copies)], clean)

    runs = {
        (place, name): partial(run, contestant, work)
        for name, work in (("forward", _forward), ("total", _total))
        for place, contestant in enumerate(contestants)
        if not contestant.note
    }
    times = take_turns(runs, device, effort.rounds, effort.seconds, after, busy=clean.bytes > SMALL)
    if device == "cuda" and clean.bytes <= SMALL:
        for contestant in contestants:
            if not contestant.note and not contestant.overwrites:
                contestant.graph = [
                    in_graph(lambda number, w=work, c=contestant: w(c, copies[number]), copies)
                    for work in (_forward, _total)
                ]
    return times


def _copies(inputs: Inputs, device: str) -> list[Inputs]:
    """As many of the inputs as do not fit into the cache of a GPU together."""
    if device != "cuda":
        return [inputs]
    cache = getattr(torch.cuda.get_device_properties(inputs.target.device), "L2_cache_size", CACHE)
    return [inputs, *(inputs.clone() for _ in range(min(COPIES, -(-2 * cache // inputs.bytes)) - 1))]


def _changed(inputs: Inputs, clean: Inputs) -> bool:
    return not all(torch.equal(a, b) for a, b in zip(inputs.leaves, clean.leaves, strict=True))


def _restore(contestant: Contestant, inputs: Inputs, clean: Inputs) -> None:
    if contestant.overwrites or (contestant.note and _changed(inputs, clean)):
        for damaged, whole in zip(inputs.leaves, clean.leaves, strict=True):
            damaged.copy_(whole)


def _empty(device: str) -> None:
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()


def _records(
    case: Case,
    subject: Subject,
    contestants: Sequence[Contestant],
    times: dict[tuple[int, str], list[float]],
    floors: Floors,
    device: str,
) -> list[Record]:
    def of(place: int, name: str, how: Callable[[list[float]], float]) -> float | None:
        found = times.get((place, name))
        return how(found) if found and not contestants[place].note else None

    def baseline(how: Callable[[list[float]], float]) -> float | None:
        plain = [of(place, "total", how) for place, c in enumerate(contestants) if c.implementation.family == "torch"]
        return min((seconds for seconds in plain if seconds), default=None)

    middle, best = baseline(median), baseline(min)
    by_torch = [c.error for c in contestants if c.implementation.family == "torch" and c.error is not None]
    torch_error = max(by_torch, default=0.0)
    least_forward, least = floors.seconds(case, subject.name)
    found: list[Record] = []
    for place, contestant in enumerate(contestants):
        total, quickest = of(place, "total", median), of(place, "total", min)
        found.append(
            {
                "case": case.name,
                "kind": case.kind,
                "shape": list(case.shape),
                "dtype": case.dtype,
                "device": device,
                "loss": subject.name,
                "implementation": contestant.implementation.name,
                "family": contestant.implementation.family,
                "forward_ms": _ms(of(place, "forward", median)),
                "total_ms": _ms(total),
                "extra_mib": None if contestant.bytes is None else contestant.bytes / 2**20,
                "of_floor": least / total if total else None,
                "error": contestant.error,
                "wrong": _wrong(contestant.error, torch_error),
                "ratio": middle / total if middle and total else None,
                "forward_quickest_ms": _ms(of(place, "forward", min)),
                "total_quickest_ms": _ms(quickest),
                "ratio_of_quickest": best / quickest if best and quickest else None,
                "graph_forward_ms": _ms(contestant.graph[0]),
                "graph_total_ms": _ms(contestant.graph[1]),
                "value_error": None if contestant.note else contestant.value_error,
                "gradient_error": None if contestant.note else contestant.gradient_error,
                "floor_forward_ms": _ms(least_forward),
                "floor_total_ms": _ms(least),
                "rounds": len(times.get((place, "total"), [])) if not contestant.note else 0,
                "overwrites_input": contestant.overwrites,
                "note": contestant.note,
            }
        )
    return found


def _wrong(error: float | None, of_torch: float) -> bool:
    """No rounding error of the dtype, which plain torch has as well."""
    return error is not None and not error <= max(WRONG, 3 * of_torch)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else 1e3 * seconds


def first_line(error: BaseException) -> str:
    """What went wrong, in one line of at most 200 letters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return said if len(said) <= 200 else said[:199] + "…"
