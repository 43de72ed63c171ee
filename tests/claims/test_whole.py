"""The ledger as a user runs it: every claim gets a verdict, and other seeds do not contradict it.

Slow as a whole; its fast form runs the cheapest claims."""

import json
from pathlib import Path
from typing import Any

import pytest

from whyloss.claims.claim import Scale
from whyloss.claims.command import claims

WORDS = {"holds", "does not hold", "equivalent", "holds only when", "undecided"}


def verdicts(scale: Scale, folder: Path) -> dict[str, str]:
    found = claims(quick=scale.quick, seed=scale.seed, out=folder)
    return {str(record["id"]): str(record["verdict"]) for record in found}


def test_cheap_claims_come_out_as_mathematics_has_it(tmp_path: Path):
    found = {record["id"]: record for record in claims(["S1-11", "S2-2a", "S2-4"], quick=True, out=tmp_path)}
    assert found["S1-11"]["verdict"] == "does not hold"  # log loss is cross-entropy
    coupled = [cell for cell in found["S2-2a"]["cells"] if cell["where"]["protocol"] == "exact"]
    assert {cell["where"]["link"]: cell["answer"] for cell in coupled} == {
        "softmax": "does not hold",
        "sigmoid": "holds",
    }
    readings = [cell["answer"] for cell in found["S2-4"]["cells"] if cell["statement"] == "a"]
    assert set(readings) == {"does not hold"}


@pytest.mark.slow
def test_a_quick_run_settles_everything_it_can(tmp_path: Path):
    found = verdicts(Scale(quick=True), tmp_path)
    assert len(found) == 42
    records: list[dict[str, Any]] = json.loads((tmp_path / "claims.json").read_text(encoding="utf-8"))
    for record in records:
        assert record["quick"] is True
        if not record["id"].startswith("C"):
            assert record["verdict"] in WORDS
    assert sum(word == "undecided" for word in found.values()) <= 15


@pytest.mark.slow
def test_two_seeds_give_the_same_verdict_or_none(tmp_path: Path):
    one, other = (verdicts(Scale(seed), tmp_path / str(seed)) for seed in (0, 1))
    for name in one:
        assert one[name] == other[name] or "undecided" in (one[name], other[name]), name
