"""The race: every candidate on the same folds, initial weights, batches, learning rates and steps.

A race is a list of trials, each a pure function of (loss, repeat, fold); work.py runs them and keeps each one."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from whyloss.advise.candidates import Candidate
from whyloss.advise.ledger import Arrays, fingerprint
from whyloss.advise.probe import Plan, train
from whyloss.advise.work import Job, finish

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
VERSION = 1  # of what a trial does; a new number makes old ledgers stale


@dataclass(frozen=True)
class Budget:
    """How much a race may cost. Rows beyond `rows` are sampled; settings are learning rates times snapshots."""

    rows: int
    folds: int
    repeats: int
    rates: tuple[float, ...]
    steps: int
    snapshots: tuple[int, ...]

    def plan(self, train_rows: int) -> Plan:
        batch = int(np.clip(train_rows // 20, 32, 256))
        return Plan(self.rates, self.steps, self.snapshots, batch)


BUDGETS = {
    "quick": Budget(2_000, 5, 1, (1e-3, 5e-3, 2e-2), 160, (40, 160)),
    "normal": Budget(4_000, 5, 3, (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1), 500, (50, 150, 500)),
    "thorough": Budget(20_000, 5, 6, (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1), 900, (40, 120, 320, 900)),
}


@dataclass(frozen=True)
class Fold:
    """One cut of the rows, encoded with what the training rows alone told."""

    repeat: int
    fold: int
    test: Ints
    x_train: Floats
    y_train: Ints
    x_test: Floats


@dataclass(frozen=True)
class Trial:
    candidate: Candidate
    repeat: int
    fold: int
    seed: int
    classes: int
    plan: Plan
    transition: tuple[tuple[float, ...], ...] | None

    def key(self, data: str) -> dict[str, Any]:
        """Everything that the result depends on."""
        given = self.transition if "transition" in self.candidate.uses else None
        return {
            "version": VERSION,
            "torch": torch.__version__,
            "data": data,
            "loss": self.candidate.short,
            "parameters": dict(self.candidate.parameters),
            "uses": self.candidate.uses,
            "transition": given,
            "repeat": self.repeat,
            "fold": self.fold,
            "seed": self.seed,
            "plan": asdict(self.plan),
        }


def run_trial(trial: Trial, fold: Fold) -> Floats:
    """Log-probabilities (settings, test rows, classes)."""
    torch.set_num_threads(1)  # two busy threads on two busy cores wait for each other
    given: dict[str, NDArray[Any]] = {"counts": np.bincount(fold.y_train, minlength=trial.classes).clip(1)}
    if trial.transition is not None:
        given["transition"] = np.asarray(trial.transition)
    loss = trial.candidate.build(given)
    # The same seed for every candidate: same initial weights, same batches.
    seed = trial.seed * 7919 + trial.repeat * 101 + trial.fold
    return train(loss, fold.x_train, fold.y_train, fold.x_test, trial.classes, trial.plan, seed)


class Race:
    """Runs trials and hands back out-of-fold log-probabilities, per candidate and repeat (settings, rows, classes)."""

    def __init__(
        self,
        folds: Sequence[Sequence[Fold]],
        classes: int,
        budget: Budget,
        seed: int,
        transition: NDArray[np.float64] | None,
        ledger: Arrays,
        jobs: int,
        backend: str | None = None,
        progress: Callable[[], None] = lambda: None,
    ):
        self.folds, self.classes, self.budget, self.seed = folds, classes, budget, seed
        self.transition = None if transition is None else tuple(tuple(map(float, row)) for row in transition)
        self.ledger, self.jobs, self.backend, self.progress = ledger, jobs, backend, progress
        self.data = [[fingerprint(f.x_train, f.y_train, f.x_test, f.test) for f in repeat] for repeat in folds]

    def run(self, candidates: Sequence[Candidate], repeats: Sequence[int]) -> dict[tuple[int, int], Floats]:
        """(candidate's number, repeat) -> predictions, each repeat's rows in file order."""
        todo = {
            (number, r, k): self._trial(candidate, fold)
            for number, candidate in enumerate(candidates)
            for r in repeats
            for k, fold in enumerate(self.folds[r])
        }
        jobs = {
            place: Job(
                trial.key(self.data[trial.repeat][trial.fold]), run_trial, (trial, self.folds[trial.repeat][trial.fold])
            )
            for place, trial in todo.items()
        }
        found = finish(jobs, self.ledger, self.jobs, self.backend, self.progress)
        together: dict[tuple[int, int], Floats] = {}
        for number in range(len(candidates)):
            for r in repeats:
                parts = [found[number, r, k] for k in range(len(self.folds[r]))]
                rows = sum(len(fold.test) for fold in self.folds[r])
                out = np.empty((len(parts[0]), rows, self.classes), np.float32)
                for fold, part in zip(self.folds[r], parts, strict=True):
                    out[:, fold.test] = part
                together[number, r] = out
        return together

    def _trial(self, candidate: Candidate, fold: Fold) -> Trial:
        plan = self.budget.plan(len(fold.y_train))
        return Trial(candidate, fold.repeat, fold.fold, self.seed, self.classes, plan, self.transition)
