"""The race is fair (same weights, batches, folds for all), its probe is right, and its ledger loses nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import whyloss
from whyloss.advise import race as race_module
from whyloss.advise.candidates import REFERENCE, Candidate, choose
from whyloss.advise.finding import Finding, InputError
from whyloss.advise.ledger import Arrays, fingerprint
from whyloss.advise.probe import Plan, train
from whyloss.advise.race import Budget, Fold, Race

TINY = Budget(1000, 3, 2, (1e-3, 1e-2), 10, (5, 10))


def folds(rows: int = 90, classes: int = 3) -> list[list[Fold]]:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(rows, 4)).astype(np.float32), rng.integers(0, classes, rows)
    found = []
    for repeat in range(2):
        cut = np.array_split(rng.permutation(rows), 3)
        found.append(
            [
                Fold(repeat, k, np.sort(test), np.delete(x, test, 0), np.delete(y, test), x[np.sort(test)])
                for k, test in enumerate(cut)
            ]
        )
    return found


def race(ledger: Arrays, jobs: int = 1) -> Race:
    return Race(folds(), 3, TINY, 0, None, ledger, jobs)


def test_the_probe_is_adam_on_a_one_layer_network():
    """Gradients by hand, all learning rates at once, against torch's own modules and optimiser, one at a time."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 5)).astype(np.float32), rng.integers(0, 3, 64)
    plan = Plan((1e-3, 1e-2), 7, (7,), batch=64, hidden=16)
    found = train(whyloss.CrossEntropyLoss(), x, y, x, 3, plan, seed=1)
    generator = torch.Generator().manual_seed(1)
    w1 = torch.randn(5, 16, generator=generator) * (2 / 5) ** 0.5
    w2 = torch.randn(16, 3, generator=generator) * 0.1 * (1 / 16) ** 0.5
    for member, rate in enumerate(plan.rates):
        net = torch.nn.Sequential(torch.nn.Linear(5, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
        with torch.no_grad():
            for parameter, value in zip(net.parameters(), (w1.T, torch.zeros(16), w2.T, torch.zeros(3)), strict=True):
                parameter.copy_(value)
        optimiser = torch.optim.Adam(net.parameters(), rate)
        for _ in range(7):  # one batch holds all rows, so their order does not matter
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(net(torch.from_numpy(x)), torch.from_numpy(y)).backward()
            optimiser.step()
        expected = net(torch.from_numpy(x)).log_softmax(-1).detach().numpy()
        np.testing.assert_allclose(found[member], expected, atol=2e-4)


def test_every_candidate_starts_alike_and_sees_the_same_batches(monkeypatch: pytest.MonkeyPatch):
    seen: dict[str, list[tuple[int, bytes]]] = {}

    def spy(loss, x, y, test, classes, plan, seed):
        from whyloss.advise.probe import _batches, _Members

        net, batches = (
            _Members(x.shape[1], plan.hidden, classes, plan.rates, seed),
            _batches(len(x), plan.batch, plan.steps, seed),
        )
        start = net.flat.numpy().tobytes() + torch.cat(batches).numpy().tobytes()
        seen.setdefault(type(loss).__name__, []).append((seed, start))
        return np.zeros((4, len(test), classes), np.float32)

    monkeypatch.setattr(race_module, "train", spy)
    for name in ("ce", "brier", "gce"):
        for repeat in folds():
            for fold in repeat:
                race_module.run_trial(
                    race_module.Trial(Candidate(name, ""), fold.repeat, fold.fold, 0, 3, TINY.plan(60), None), fold
                )
    assert len(seen) == 3
    assert seen["CrossEntropyLoss"] == seen["BrierLoss"] == seen["GeneralizedCrossEntropyLoss"]
    assert len({seed for seed, _ in seen["BrierLoss"]}) == 6  # each repeat and fold has its own


def test_predictions_come_back_in_file_order_and_the_same_twice(tmp_path: Path):
    first = race(Arrays(tmp_path / "a")).run([REFERENCE], [0, 1])
    second = race(Arrays(tmp_path / "b")).run([REFERENCE], [0, 1])
    assert first[0, 0].shape == (4, 90, 3)
    np.testing.assert_array_equal(first[0, 1], second[0, 1])
    fold = folds()[0][1]
    alone = race_module.run_trial(race(Arrays(tmp_path / "c"))._trial(REFERENCE, fold), fold)
    np.testing.assert_array_equal(first[0, 0][:, fold.test], alone)


def test_processes_give_what_one_process_gives(tmp_path: Path):
    here = race(Arrays(tmp_path / "a")).run([REFERENCE], [0])
    there = race(Arrays(tmp_path / "b"), jobs=2).run([REFERENCE], [0])
    np.testing.assert_array_equal(here[0, 0], there[0, 0])


def test_the_ledger_spares_finished_trials_and_only_those(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    runs: list[str] = []
    real = race_module.run_trial
    monkeypatch.setattr(race_module, "run_trial", lambda t, f: (runs.append(t.candidate.short), real(t, f))[1])
    ledger = Arrays(tmp_path)
    race(ledger).run([REFERENCE], [0])
    assert runs == ["ce"] * 3
    race(ledger).run([REFERENCE, Candidate("gce", "", {"q": 0.7})], [0])
    assert runs == ["ce"] * 3 + ["gce"] * 3
    race(ledger).run([Candidate("gce", "", {"q": 0.5})], [0])
    assert runs[6:] == ["gce"] * 3  # another parameter is another trial


def test_a_damaged_trial_is_run_again(tmp_path: Path):
    ledger = Arrays(tmp_path)
    race(ledger).run([REFERENCE], [0])
    damaged = sorted(tmp_path.glob("*.npy"))[0]
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])
    race(ledger).run([REFERENCE], [0])
    assert damaged.read_bytes() == whole


def test_fingerprint_tells_content_shape_and_type_apart():
    a = np.arange(6.0)
    assert fingerprint(a) == fingerprint(a.copy())
    assert (
        len({fingerprint(a), fingerprint(a.reshape(2, 3)), fingerprint(a.astype(np.float32)), fingerprint(a + 1)}) == 4
    )


def test_an_unknown_backend_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"Unknown --backend 'nonsense'.*loky"):
        Race(folds(), 3, TINY, 0, None, Arrays(tmp_path), 1, "nonsense").run([REFERENCE], [0])


SCRIPT = """
import sys
from whyloss.advise.run import advise
advise("wine", out=sys.argv[1], budget="quick", jobs=1, command="again")
"""


def test_kill_9_loses_nothing_and_repeats_nothing(tmp_path: Path):
    import json

    def start(out: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", SCRIPT, str(out)], env={**os.environ, "OMP_NUM_THREADS": "1"})

    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = start(killed)
    deadline = time.monotonic() + 120
    while len(list((killed / "trials").glob("*.npy"))) < 3:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {path.name: path.stat().st_mtime_ns for path in (killed / "trials").glob("*.npy")}
    assert not (killed / "report.json").exists()
    assert start(killed).wait() == 0
    after = {path.name: path.stat().st_mtime_ns for path in (killed / "trials").glob("*.npy")}
    assert {name: after[name] for name in kept} == kept, "a finished trial was run again"
    assert start(whole).wait() == 0
    assert sorted(after) == sorted(path.name for path in (whole / "trials").glob("*.npy"))
    first, second = (json.loads((folder / "report.json").read_text()) for folder in (killed, whole))
    for report in (first, second):
        del report["seconds"], report["stages"]
    assert first == second


def noise(severity: str, value: float) -> Finding:
    return Finding("label_noise", severity, "", value)  # type: ignore[arg-type]


def test_candidates_follow_the_findings():
    even, uneven = np.array([50, 50]), np.array([90, 10])
    names = [c.short for c in choose([], even, "normal")]
    assert names[0] == "ce"
    assert "ls" in names
    assert "brier" in names
    assert "la" not in names
    assert {"la", "cb", "ldam", "focal"} <= {c.short for c in choose([], uneven, "normal")}
    noisy = {c.short for c in choose([noise("serious", 0.4)], even, "normal")}
    assert {"gce", "sce", "nce+rce", "nce+agce", "mae"} <= noisy
    assert "forward" not in noisy  # no transition matrix to trust
    assert "mae" not in {c.short for c in choose([noise("serious", 0.4)], np.full(10, 50), "normal")}
    assert len(choose([noise("serious", 0.4)], uneven, "quick")) == 5


@pytest.mark.parametrize(
    "candidate", choose([noise("serious", 0.4)], np.array([90, 10]), "normal"), ids=lambda c: c.short
)
def test_the_code_to_paste_makes_the_same_loss(candidate: Candidate):
    given = {"counts": np.array([90, 10])}
    names: dict[str, object] = {"torch": torch, "whyloss": whyloss}
    exec("\n".join(candidate.code(given)), names)
    z, y = torch.randn(20, 2, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 2
    torch.testing.assert_close(names["loss"](z, y), candidate.build(given)(z, y))  # type: ignore[operator]


def test_no_two_candidates_are_one_objective():
    """Two names for one loss would count twice in every correction for being many."""
    found = choose([noise("serious", 0.4)], np.array([80, 20, 10]), "normal")
    z, y = torch.randn(200, 3, generator=torch.Generator().manual_seed(0)), torch.arange(200) % 3
    given = {"counts": np.array([80, 20, 10])}
    gradients = []
    for candidate in found:
        w = z.clone().requires_grad_()
        (g,) = torch.autograd.grad(candidate.build(given)(w, y), w)
        gradients.append(g.flatten() / g.norm())
    alike = torch.stack(gradients) @ torch.stack(gradients).T
    assert (alike - torch.eye(len(found))).max() < 0.9999
