"""What is measured is what is there: errors, memory, failures, turns."""

import typing
from typing import Any

import pytest
import torch
from bench import planted

from whyloss.bench import implementations as ways
from whyloss.bench.case import parse
from whyloss.bench.clock import take_turns
from whyloss.bench.floors import Floors
from whyloss.bench.implementations import implementations
from whyloss.bench.inputs import make
from whyloss.bench.peers import PEERS, Peer, entries
from whyloss.bench.run import Effort, compare
from whyloss.bench.subjects import SUBJECTS, selected
from whyloss.bench.truth import truth

EFFORT = Effort(rounds=3, seconds=0.0)
FLOORS = Floors(1e10, {"float32": 1e11, "bfloat16": 1e11})
NAMES = [
    *("logits-40x6", "linear-40x8x30", "segmentation-2x3x12x10", "multilabel-20x7"),
    *("rows-40x6", "steps-40x5", "bins-40x8", "sets-40x7", "scores-80x1", "masks-2x3x16x20", "cosines-40x8x6"),
]


def measured(name: str, loss: str, *peers: Peer) -> dict[str, dict[str, Any]]:
    case, (subject,) = parse(name), selected([loss])
    assert case is not None
    inputs = make(case, "cpu", 0)
    rows = compare(case, subject, inputs, implementations(case, subject, inputs, False, peers), FLOORS, EFFORT)
    return {row["implementation"]: row for row in rows}


@pytest.mark.parametrize(
    ("name", "loss"),
    [(name, s.name) for name in NAMES for s in SUBJECTS if name.partition("-")[0] in s.kinds and s.plain],
)
def test_ours_and_the_plain_one_are_the_same_loss(name: str, loss: str):
    rows = measured(name, loss)
    assert {row["family"] for row in rows.values()} == {"whyloss", "torch"}
    for row in rows.values():
        assert row["note"] == ""
        assert row["error"] < 1e-5
        assert not row["wrong"]
        assert min(row["forward_ms"], row["total_ms"], row["extra_mib"], row["of_floor"]) > 0
        assert row["rounds"] == 3
    assert rows["torch"]["ratio"] == 1


@pytest.mark.parametrize("loss", [s.name for s in SUBJECTS if s.plain is None])
def test_without_a_plain_form_ours_in_float64_is_the_truth(loss: str):
    kind = next(s.kinds[0] for s in SUBJECTS if s.name == loss)
    rows = measured(next(name for name in NAMES if name.startswith(kind)), loss)
    assert {row["family"] for row in rows.values()} == {"whyloss"}
    assert all(row["error"] < 1e-5 and row["ratio"] is None for row in rows.values())


def test_errors_of_planted_implementations():
    rows = measured("logits-300x10", "ce", planted.peer(planted.right, planted.double, planted.tilted))
    assert rows["right"]["error"] < 1e-6
    assert rows["double"]["value_error"] == pytest.approx(1, rel=1e-4)
    assert rows["double"]["gradient_error"] == pytest.approx(1, rel=1e-4)
    assert rows["tilted"]["value_error"] < 1e-6
    assert rows["tilted"]["error"] == rows["tilted"]["gradient_error"] == pytest.approx(2, rel=1e-4)
    assert [name for name, row in rows.items() if row["wrong"]] == ["double", "tilted"]


def test_sixteen_bits_are_no_mistake():
    rows = measured("logits-300x10-bf16", "ce")
    assert list(rows)[-2:] == ["torch", "torch, float32"]
    assert not any(row["wrong"] for row in rows.values())
    assert max(rows["torch"]["ratio"], rows["torch, float32"]["ratio"]) == 1, "beside the quicker of the two"


def test_a_peer_that_fails_gets_a_row_that_says_so():
    rows = measured("logits-30x10", "ce", planted.peer(planted.refusing, planted.missing_part, planted.right))
    assert rows["refusing"]["note"] == "RuntimeError: Widths of 10 are not for us."
    assert rows["missing_part"]["note"] == "ImportError: no such thing"
    for name in ("refusing", "missing_part"):
        assert {rows[name][k] for k in ("forward_ms", "total_ms", "extra_mib", "of_floor", "error", "ratio")} == {None}
    assert rows["right"]["total_ms"] > 0


def test_memory_above_the_inputs():
    rows = measured("logits-2000x100", "ce", planted.peer(planted.right, planted.hungry))
    assert 6 < rows["hungry"]["extra_mib"] - rows["right"]["extra_mib"] <= 8
    gradient = 4 * 2000 * 100 / 2**20
    assert gradient <= rows["whyloss (auto: dense)"]["extra_mib"] < 1.5 * gradient


def test_who_writes_over_the_inputs_spoils_nothing_for_others():
    rows = measured("logits-30x10", "ce", planted.peer(planted.overwriting, planted.right))
    assert rows["overwriting"]["overwrites_input"]
    assert rows["right"]["error"] < 1e-6
    case = parse("logits-30x10")
    assert case is not None
    inputs = make(case, "cpu", 0)
    clean = inputs.clone()
    (subject,) = selected(["ce"])
    found = implementations(case, subject, inputs, False, [planted.peer(planted.overwriting)])
    compare(case, subject, inputs, found, FLOORS, EFFORT)
    assert torch.equal(inputs.leaves[0], clean.leaves[0])


@pytest.mark.parametrize("name", ["logits-70x9", "segmentation-5x3x8x8", "linear-70x6x9"])
@pytest.mark.parametrize("loss", ["ce", "focal"])
def test_the_truth_is_the_same_in_pieces(name: str, loss: str, monkeypatch: pytest.MonkeyPatch):
    case, (subject,) = parse(name), selected([loss])
    assert case is not None
    inputs = make(case, "cpu", 0)
    whole = truth(case, subject, inputs)
    module = "whyloss.bench.truth"
    monkeypatch.setattr(f"{module}.AT_ONCE", 300)
    monkeypatch.setattr(f"{module}.KEPT", 30)
    pieces = truth(case, subject, inputs)
    assert pieces.value == pytest.approx(whole.value, rel=1e-12)
    for part, all_of_it in zip(pieces.gradients, whole.gradients, strict=True):
        assert 0 < len(part) < len(all_of_it)
        torch.testing.assert_close(part, all_of_it[: len(part)])


def test_runs_take_turns():
    order: list[str] = []
    found = take_turns({name: lambda number, n=name: order.append(n) for name in "abc"}, "cpu", 4, 0.0)
    assert [len(times) for times in found.values()] == [3, 3, 3], "never fewer than three, however short the time"
    rounds = ["".join(order[start : start + 3]) for start in range(0, len(order), 3)]
    assert [sorted(each) for each in rounds] == [["a", "b", "c"]] * 4, "one round to warm up"
    assert rounds[1:] == ["abc", "bca", "cab"], "each begins once"


def test_a_new_engine_is_measured_once_it_has_a_name(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ways, "Engine", typing.Literal["auto", "reference", "dense", "no-such-engine"])
    rows = measured("logits-30x10", "ce")
    assert list(rows) == ["whyloss (auto: dense)", "whyloss (reference)", "torch"], "what does not fit is left out"


def test_peers_that_are_not_there():
    here, elsewhere, absent = (
        planted.peer(planted.right),
        planted.peer(planted.right, devices=("cuda",)),
        planted.peer(planted.right, package="no-such-package"),
    )
    assert [peer.status("cpu") for peer in (here, elsewhere, absent)] == ["", "runs on cuda only", "not installed"]
    assert len(entries("logits", "cross-entropy", "cpu", [here, elsewhere, absent])) == 1


def test_every_entry_of_a_peer_is_of_a_loss_that_is_measured():
    known = {(kind, subject.name) for subject in SUBJECTS for kind in subject.kinds}
    found = [entry for peer in PEERS for entry in peer.entries]
    assert {(entry.kind, entry.subject) for entry in found} <= known
    assert len({(entry.kind, entry.subject, entry.label) for entry in found}) == len(found)


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.package)
def test_installed_peers_compute_the_same(peer: Peer):
    if peer.status("cpu"):
        pytest.skip(peer.status("cpu"))
    for entry in peer.entries:
        name = next(name for name in NAMES if name.startswith(entry.kind))
        row = measured(name, entry.subject, peer)[entry.label]
        assert row["note"] == "", (entry.subject, row["note"])
        assert (row["error"] < 1e-5) == entry.same, (entry.subject, row["error"])
