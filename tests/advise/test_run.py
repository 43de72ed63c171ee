"""`advise` from file to report: fields, reproducibility, refusals that only the whole way can show."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from whyloss.advise.finding import Finding, InputError
from whyloss.advise.run import _shrinkage, advise


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("wine")
    found = advise("wine", out=out, budget="quick", seed=3, command="whyloss advise wine")
    assert (out / "report.html").stat().st_size > 10_000
    assert json.loads((out / "report.json").read_text())["verdict"]["answer"] == found["verdict"]["answer"]
    return found


def test_the_report_has_its_promised_fields(report: dict[str, Any]):
    assert {"data", "findings", "rules", "candidates", "verdict", "code", "command", "versions", "seconds"} <= set(
        report
    )
    assert {"rows", "features", "classes", "counts"} <= set(report["data"])
    for finding in report["findings"]:
        assert {"id", "severity", "value", "interval", "rows", "text"} <= set(finding)
    for candidate in report["candidates"]:
        fields = {
            "loss",
            "parameters",
            "rule",
            "metric",
            "mean",
            "interval",
            "p_better",
            "p_equivalent",
            "p_worse",
            "rank",
        }
        assert fields <= set(candidate)
    assert {"answer", "loss", "parameters", "rule", "metric", "gain", "interval", "text"} <= set(report["verdict"])
    assert report["verdict"]["answer"] in ("advised", "worth trying", "no difference", "undecided")


def test_cross_entropy_is_the_reference_with_difference_zero(report: dict[str, Any]):
    (reference,) = [c for c in report["candidates"] if c["loss"] == "CrossEntropyLoss"]
    assert reference["difference"] == 0
    assert reference["p_better"] is None
    others = [c for c in report["candidates"] if c is not reference]
    assert all(abs(c["p_better"] + c["p_equivalent"] + c["p_worse"] - 1) < 1e-9 for c in others)
    assert [c["rank"] for c in report["candidates"]] == list(range(1, len(report["candidates"]) + 1))


def test_cheaper_measures_come_with_their_gain(report: dict[str, Any]):
    names = [rule["rule"] for rule in report["rules"]]
    assert names[0] == "argmax"
    assert {"prior", "early stopping"} <= set(names)
    assert report["rules"][0]["gain"] == 0


def test_the_pasted_code_runs(report: dict[str, Any]):
    logits, target = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    names: dict[str, Any] = {"logits": logits, "target": target}
    exec(report["code"], names)
    assert names["value"].ndim == 0
    assert names["decision"].shape == (6,)


def test_the_same_seed_gives_the_same_report_and_another_seed_another(report: dict[str, Any], tmp_path: Path):
    def plain(found: dict[str, Any]) -> str:
        return json.dumps({k: v for k, v in found.items() if k not in ("seconds", "stages")}, default=str)

    again = advise("wine", out=tmp_path / "a", budget="quick", seed=3, command="whyloss advise wine")
    assert plain(again) == plain(report)
    other = advise("wine", out=tmp_path / "b", budget="quick", seed=4, command="whyloss advise wine")
    assert [c["scores"] for c in other["candidates"]] != [c["scores"] for c in report["candidates"]]


def frame(rows: int = 240, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 3))
    y = (x[:, 0] + 0.5 * rng.normal(size=rows) > 1.2).astype(int)
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": np.where(x[:, 2] > 0, "up", "down"), "y": y})


@pytest.mark.parametrize("kind", ["csv", "parquet", "frame"])
def test_every_source_gives_one_report(kind: str, tmp_path: Path):
    data, path = frame(), tmp_path / f"table.{kind}"
    if kind == "csv":
        data.to_csv(path, index=False)
    elif kind == "parquet":
        data.to_parquet(path)
    found = advise(data if kind == "frame" else path, "y", out=tmp_path / "out", budget="quick")
    assert found["data"]["rows"] == 240
    assert found["metric"]["name"] == "balanced_accuracy"  # 12 % positives
    assert found["data"]["categorical"] == 1


@pytest.mark.parametrize("metric", ["f1", "log_loss", "roc_auc", "mae"])
def test_metrics_of_every_kind(metric: str, tmp_path: Path):
    ordered = ["0", "1"] if metric == "mae" else None
    found = advise(frame(), "y", metric=metric, ordered=ordered, out=tmp_path, budget="quick")
    assert found["verdict"]["metric"] == metric
    low, high = found["candidates"][0]["interval"]
    assert low <= found["candidates"][0]["mean"] <= high
    best = found["candidates"][0]["mean"]
    worse = (lambda m: m >= best) if metric in ("log_loss", "mae") else (lambda m: m <= best)
    assert all(worse(c["mean"]) for c in found["candidates"])  # rank 1 is best, whichever way the metric points


def test_groups_never_straddle_folds(tmp_path: Path):
    data = frame()
    data["patient"] = np.arange(len(data)) // 6
    found = advise(data, "y", group="patient", out=tmp_path, budget="quick")
    assert found["data"]["groups"] == 40


def test_ordered_classes_get_the_median_rule(tmp_path: Path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3))
    grade = np.digitize(x[:, 0] + 0.4 * rng.normal(size=300), [-0.7, 0.7])
    data = pd.DataFrame(x, columns=list("abc")).assign(grade=np.array(["low", "middle", "high"])[grade])
    found = advise(data, "grade", ordered=["low", "middle", "high"], out=tmp_path, budget="quick")
    assert found["metric"]["name"] == "mae"
    assert "median" in [rule["rule"] for rule in found["rules"]]
    assert found["data"]["classes"] == ["low", "middle", "high"]


def test_an_output_folder_that_cannot_be_written_is_refused_before_anything_runs(tmp_path: Path):
    blocked = tmp_path / "file"
    blocked.write_text("a file, so no folder can be made inside it")
    with pytest.raises(InputError, match=r"Cannot write to .*--out"):
        advise("wine", out=blocked / "report", budget="quick")


def test_unknown_budget_and_metric_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="quick, normal, thorough"):
        advise("wine", out=tmp_path, budget="huge")
    with pytest.raises(InputError, match="Did you mean 'accuracy'"):
        advise("wine", out=tmp_path, metric="acuracy", budget="quick")


def test_the_margin_shrinks_with_trusted_noise_as_differences_in_accuracy_do():
    """Symmetric noise of 40 % on ten classes: an accuracy of a is measured as a * 0.6 + (1 - a) * 0.4 / 9."""
    trusted = [Finding("label_noise", "serious", "", 0.4, details={"trusted": True})]
    measured = [a * 0.6 + (1 - a) * 0.4 / 9 for a in (0.90, 0.91)]
    assert _shrinkage(trusted, "accuracy", 10) * 0.01 == pytest.approx(measured[1] - measured[0])
    assert _shrinkage(trusted, "log_loss", 10) == 1
    assert _shrinkage([Finding("label_noise", "note", "", 0.4, details={"trusted": False})], "accuracy", 10) == 1
