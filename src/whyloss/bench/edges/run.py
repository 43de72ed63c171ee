"""Every case through ours and through every peer that is installed; a record of each.

What a call raises becomes a record that says so; a call that cannot be made, as its package does not load here, is
counted as left out."""

import contextlib
import io
import re
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from whyloss import __version__

from ..run import first_line
from .cases import EDGES
from .edge import Call, Edge, interpreted
from .judge import MEANINGS, judge
from .reading import Found

Record = dict[str, Any]
SHOWN = 6  # numbers of a gradient that are written out


def conform(edges: Sequence[Edge] = EDGES, began: Callable[[str], object] = lambda name: None) -> Record:
    """{"rows": a record for each call, "meanings": of the verdicts, "skipped": packages, calls left out and why,
    "alone": cases without a peer here, "interpreted": whether kernels ran in Triton's interpreter}.

    Only cases with a loss that exists, and with a peer that is installed: what is beside nothing tells nothing."""
    rows: list[Record] = []
    skipped: Counter[tuple[str, str]] = Counter()
    alone = 0
    for edge in edges:
        if not edge.ours.exists:
            continue
        present = [peer for peer in edge.peers if not peer.missing]
        skipped.update((peer.package, peer.missing) for peer in edge.peers if peer.missing)
        if not present:
            alone += 1
            continue
        began(edge.name)
        rows.append(_record(edge, "whyloss", __version__, edge.ours.loss, *run(edge, edge.ours.build())))
        for peer in present:
            call = _quietly(peer.build)
            if isinstance(call, Exception):
                skipped[peer.package, f"not to be made here, {told(call)}"] += 1
                continue
            found = run(edge, call, None if peer.otherwise is None else peer.otherwise[1])
            named = f" ({peer.otherwise[0]})" if peer.otherwise and found[1] == "OTHER" else ""
            rows.append(_record(edge, peer.package, peer.version or "", peer.call, found[0] + named, found[1]))
    left_out = [{"package": name, "calls": count, "reason": reason} for (name, reason), count in skipped.items()]
    return {"rows": rows, "meanings": dict(MEANINGS), "skipped": left_out, "alone": alone, "interpreted": interpreted()}


def run(edge: Edge, call: Call, otherwise: Call | None = None) -> tuple[str, str]:
    """What came, in words, and the verdict."""
    found: Found | Exception = _quietly(lambda: edge.read(call, edge.logits.clone(), edge.target.clone()))
    exact = edge.logits.double()
    right, other, ignoring = (
        None if formula is None else _float64(edge.read(formula, exact, edge.target))
        for formula in (edge.truth, otherwise, edge.ignoring)
    )
    return told(found), judge(found, right, edge.logits.dtype, other, ignoring)


def _quietly(work: Callable[[], Any]) -> Any:
    """What it returns, or what it raises."""
    # Peers have much to say, and some leave the switches of autograd as they please.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.enable_grad():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        try:
            return work()
        except Exception as error:  # whatever a peer may raise
            return error


def _float64(found: Found) -> Found:
    return {name: part.double() for name, part in found.items()}


def told(found: Found | Exception) -> str:
    """One line: the numbers, or what was raised, without the paths of this machine."""
    if isinstance(found, Exception):
        return re.sub(r"(?:/[\w.@-]+){2,}", "…", first_line(found))
    return ", ".join(f"{name} {_figures(part)}" for name, part in found.items())


def _figures(part: Tensor) -> str:
    if not part.ndim:
        return _figure(part.item())
    if not part.numel():
        return f"of shape {tuple(part.shape)}"
    if part.numel() <= SHOWN:
        return "[" + ", ".join(_figure(x) for x in part.flatten().tolist()) + "]"
    if bool((part == part.flatten()[0]).all()):
        return f"all {_figure(part.flatten()[0].item())}"
    largest = part.double().abs().max().item()
    return f"up to {_figure(largest)}"


def _figure(value: float) -> str:
    value = value or 0.0  # no minus before a 0
    return f"{value:.4g}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")


def _record(edge: Edge, library: str, version: str, call: str, came: str, verdict: str) -> Record:
    return {
        "case": edge.name,
        "topic": edge.topic,
        "given": edge.given,
        "contract": edge.contract,
        "family": "whyloss" if library == "whyloss" else "peer",
        "library": library,
        "version": version,
        "call": call,
        "came": came,
        "verdict": verdict,
    }
