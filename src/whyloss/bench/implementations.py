"""Every way to compute one loss on one case: ours on each engine, plain torch, torch.compile of it, and the peers.

Knows how each is called, not how it is measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from whyloss.losses import rows as door
from whyloss.losses.explain import explain_engine
from whyloss.losses.loss import RowLoss
from whyloss.stats.engine import Engine
from whyloss.stats.linear import choose as choose_linear

from .case import Case
from .inputs import Inputs
from .peers import PEERS, Call, OnHead, Peer, entries
from .subjects import Subject

Family = Literal["whyloss", "torch", "torch.compile", "peer"]
BUDGETS = (4, 16)  # a linear head with this share of the logits' memory


@dataclass(frozen=True)
class Implementation:
    """`build` returns a function of the leaves and the target; what fails in it is told, never raised."""

    name: str
    family: Family
    build: Callable[[], Call]


def implementations(
    case: Case, subject: Subject, inputs: Inputs, compiled: bool, peers: Sequence[Peer] = PEERS
) -> list[Implementation]:
    """In the order of the table; `compiled` says whether torch.compile is measured."""
    device = inputs.leaves[0].device.type
    found = [*_ours(case, subject, inputs), *_plain(case, subject)]
    if compiled and subject.plain is not None:
        found.append(Implementation("torch.compile", "torch.compile", lambda: _compiled(case, subject)))
    peers_entries = entries(case.kind, subject.name, device, peers)
    return [*found, *(Implementation(entry.label, "peer", entry.build) for entry in peers_entries)]


def _ours(case: Case, subject: Subject, inputs: Inputs) -> list[Implementation]:
    """Each engine once; an engine says by a ValueError that it does not fit."""
    found: dict[str, Implementation] = {}
    made: Any = subject.ours
    engines = get_args(Engine) if "engine" in made.fields() else ("auto",)
    for engine in engines:
        try:
            loss = subject.made(case.classes, **({"engine": engine} if len(engines) > 1 else {}))
            loss = loss.to(inputs.leaves[0].device)
            used = _engine(case, subject, loss, inputs)
        except ValueError:
            continue
        if used not in found:
            name = f"whyloss (auto: {used})" if engine == "auto" else f"whyloss ({used})"
            found[used] = Implementation(name, "whyloss", lambda loss=loss: _our_call(case, subject, loss))
    if case.kind == "linear":
        for share in BUDGETS:
            memory = case.logits_bytes // share
            size = f"{memory / 2**20:.0f} MiB" if memory >= 2**20 else f"{memory / 2**10:.0f} KiB"
            build = lambda memory=memory: _our_call(case, subject, made(), memory=memory)  # noqa: E731
            found[size] = Implementation(f"whyloss, {size}", "whyloss", build)
    return list(found.values())


def _engine(case: Case, subject: Subject, loss: Any, inputs: Inputs) -> str:
    if case.kind == "cosines":
        hidden, weight = inputs.leaves
        return explain_engine(loss, hidden @ weight.T, inputs.target).partition(":")[0]
    if case.kind == "bins":
        return explain_engine(loss.cross_entropy, inputs.leaves[0], inputs.leaves[0].softmax(1)).partition(":")[0]
    if case.kind != "linear" or not isinstance(loss, RowLoss):
        return explain_engine(loss, inputs.leaves[0], inputs.target).partition(":")[0]
    hidden, weight = inputs.leaves
    entered = door.enter_linear(loss, hidden, weight, inputs.target, None, None, None, None)
    assert entered.head is not None
    return choose_linear(entered.head, entered.rows)[0]


def _our_call(case: Case, subject: Subject, loss: Any, **options: Any) -> Call:
    if case.kind != "linear":
        return subject.call(loss)
    call: OnHead = lambda hidden, weight, target: loss.linear(hidden, weight, target, **options)  # noqa: E731
    return call


def _plain(case: Case, subject: Subject) -> list[Implementation]:
    if subject.plain is None:
        return []
    if case.dtype == "float32":
        return [Implementation("torch", "torch", lambda: plain_call(case, subject, False))]
    return [
        Implementation("torch", "torch", lambda: plain_call(case, subject, False)),
        Implementation("torch, float32", "torch", lambda: plain_call(case, subject, True)),
    ]


def plain_call(case: Case, subject: Subject, upcast: bool) -> Call:
    """By hand; `upcast` computes in float32 what came in 16 bits, as is usual for losses."""
    plain = subject.plain
    assert plain is not None

    def on_inputs(*inputs: Tensor) -> Tensor:
        if upcast:
            inputs = tuple(x.float() if x.is_floating_point() else x for x in inputs)
        return plain(*inputs)

    if case.kind != "linear":
        return on_inputs
    call: OnHead = lambda hidden, weight, target: on_inputs(F.linear(hidden, weight), target)  # noqa: E731
    return call


def _compiled(case: Case, subject: Subject) -> Call:
    torch._dynamo.reset()  # pyright: ignore - each shape is compiled for itself
    compiled: Any = torch.compile(plain_call(case, subject, case.dtype != "float32"), dynamic=False)
    return compiled
