"""Honesty by measurement: no winner among equals, the noise where there is noise, the rule before the loss.

The fast forms run by default; the full ones (`make test-slow`) are those that the project's claims rest on."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from whyloss.advise.run import advise

SHARED = Path(__file__).parents[2].parent / "shared" / "data"


def nothing_to_find(seed: int) -> pd.DataFrame:
    """Labels independent of the features: every loss has the same true score."""
    rng = np.random.default_rng(1000 + seed)
    rows, classes = int(rng.integers(150, 500)), int(rng.integers(2, 5))
    share = rng.dirichlet(np.full(classes, 5.0))
    x = pd.DataFrame(rng.normal(size=(rows, int(rng.integers(3, 9)))).round(6)).add_prefix("x")
    return x.assign(y=[f"class {c}" for c in rng.choice(classes, rows, p=share)])


def noisy_digits(seed: int, rate: float = 0.4) -> pd.DataFrame:
    """Digits with symmetric label noise: a label is wrong with probability `rate`, and then any other alike."""
    x, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(seed)
    wrong = rng.random(len(y)) < rate
    y = np.where(wrong, (y + rng.integers(1, 10, len(y))) % 10, y)
    return pd.DataFrame(x).add_prefix("pixel").assign(digit=y)


def means(report: dict[str, Any]) -> dict[str, float]:
    return {c["short"]: c["mean"] for c in report["candidates"]}


@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 8))])
def test_no_winner_among_equals(seed: int, tmp_path: Path):
    report = advise(nothing_to_find(seed), "y", out=tmp_path, budget="quick", seed=seed)
    assert report["verdict"]["answer"] != "advised"


@pytest.mark.slow
def test_at_most_5_percent_of_40_runs_among_equals_name_a_winner(tmp_path: Path):
    answers = []
    for seed in range(40):
        report = advise(nothing_to_find(seed), "y", out=tmp_path / str(seed), budget="normal", seed=seed)
        answers.append(report["verdict"]["answer"])
    print({answer: answers.count(answer) for answer in sorted(set(answers))})
    assert answers.count("advised") <= 2


def check_noise(report: dict[str, Any]) -> None:
    (noise,) = [f for f in report["findings"] if f["id"] == "label_noise"]
    assert noise["severity"] == "serious"
    assert 0.3 < noise["value"] < 0.5
    found = means(report)
    robust = [found[name] for name in ("gce", "sce", "nce+agce")]
    assert min(robust) > found["ce"]


def test_noisy_digits_name_the_noise_and_rank_robust_losses_above_cross_entropy(tmp_path: Path):
    check_noise(advise(noisy_digits(0), "digit", out=tmp_path, budget="quick"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_noisy_digits_at_the_thorough_budget_are_worth_another_loss(seed: int, tmp_path: Path):
    report = advise(noisy_digits(seed), "digit", out=tmp_path, budget="thorough", seed=seed)
    check_noise(report)
    assert report["verdict"]["answer"] in ("worth trying", "advised")


def test_on_clean_digits_nothing_is_advised(tmp_path: Path):
    report = advise("digits", out=tmp_path, budget="quick")
    assert report["verdict"]["answer"] != "advised"
    assert report["verdict"]["loss"] == "CrossEntropyLoss"
    (noise,) = [f for f in report["findings"] if f["id"] == "label_noise"]
    assert noise["severity"] == "info"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_on_clean_digits_nothing_is_advised_at_the_normal_budget(seed: int, tmp_path: Path):
    assert advise("digits", out=tmp_path, seed=seed)["verdict"]["answer"] != "advised"


def test_on_imbalanced_data_the_rule_is_named_before_any_loss(tmp_path: Path):
    """Mammography, 42 to 1: a threshold or prior on cross-entropy is worth tens of points; no loss comes near that."""
    path = SHARED / "mammography" / "mammography.csv.gz"
    if not path.exists():
        pytest.skip(f"the shared data folder is not here: {path.parent.name}")
    report = advise(path, out=tmp_path, budget="quick")
    assert report["metric"]["name"] == "balanced_accuracy"
    gains = {rule["rule"]: rule["gain_interval"][0] for rule in report["rules"]}
    assert max(gains["threshold"], gains["prior"]) > 0.01  # 95 % interval, on a sample of 2,000 rows
    from whyloss.advise.report.view import next_steps

    first = next_steps(report)[0].lower()
    assert "threshold" in first or "prior" in first
