"""Realistic report dictionaries for the tests of the report: an imbalanced binary set, noisy digits, a tiny set.

Knows the shape of a report, and none of the code that makes or shows one."""

from typing import Any

VERSIONS = {"whyloss": "0.1.0", "torch": "2.13.0", "scikit-learn": "1.9.1", "python": "3.11.7"}


def sample(name: str) -> dict[str, Any]:
    report = {"mammography": mammography, "digits": digits, "tiny": tiny}[name]()
    for rank, entry in enumerate(report["candidates"], 1):
        entry["rank"] = rank
    return report


def mammography() -> dict[str, Any]:
    metric = "balanced_accuracy"
    return {
        "data": data("mammography.csv", 11183, 6, {"benign": 10923, "malignant": 260}, "class", raced=8000),
        "metric": about(
            metric, "mean recall over the classes", "2.3 % of the rows are 'malignant'; accuracy would not see them"
        ),
        "findings": [
            finding(
                "imbalance",
                "warning",
                0.0232,
                (0.0206, 0.0262),
                [],
                "260 of 11183 rows (2.3 %, 95 % interval 2.1 to 2.6) are 'malignant'. The metric weighs both classes alike, so this matters.",
                "Set the threshold before you change the loss.",
                {"counts": {"benign": 10923, "malignant": 260}, "title": "Rows of each class"},
            ),
            finding(
                "duplicates",
                "serious",
                2952,
                None,
                [17, 40, 41, 77, 103, 5012, 9041],
                "2952 rows repeat an earlier row exactly; 31 of them carry the other label.",
                "Drop the repeats, or keep them in one fold: whyloss has done the latter.",
            ),
            finding(
                "calibration",
                "note",
                0.0061,
                (0.0042, 0.0089),
                [],
                "The probabilities are close to the observed frequencies (expected calibration error 0.006).",
                "",
                {
                    "bins": [
                        {
                            "confidence": 0.05 + 0.1 * i,
                            "accuracy": max(0.0, min(1.0, 0.03 + 0.105 * i - 0.012 * (i % 3))),
                            "count": [7400, 310, 120, 70, 45, 30, 22, 20, 18, 11][i],
                        }
                        for i in range(10)
                    ]
                },
            ),
            finding("labels", "info", 0.004, (0.0, 0.012), [4110, 77], "Hardly any label looks wrong (0.4 %).", ""),
        ],
        "rules": [
            rule("argmax", "the class with the largest probability", {}, metric, 0.7391, 0.0, 0.021),
            rule(
                "threshold",
                "'malignant' from a probability of 0.07 on",
                {"threshold": 0.07},
                metric,
                0.8912,
                0.1521,
                0.0193,
            ),
            rule("prior", "divide by the class frequencies", {}, metric, 0.8874, 0.1483, 0.0211),
            rule("temperature", "logits divided by 1.21", {"temperature": 1.21}, "log_loss", 0.0512, 0.0011, 0.0009),
            rule(
                "early stopping",
                "stop at the best epoch on held-out rows",
                {"epoch": 14},
                metric,
                0.7402,
                0.0011,
                0.0082,
            ),
        ],
        "candidates": [
            candidate(
                "CrossEntropyLoss",
                "logit adjustment",
                {"tau": 1.0},
                "threshold",
                metric,
                0.8931,
                0.0019,
                0.0071,
                (0.13, 0.86, 0.01),
                0.003,
                "imbalance",
            ),
            candidate(
                "CrossEntropyLoss",
                "cross-entropy",
                {},
                "threshold",
                metric,
                0.8912,
                0.0,
                None,
                None,
                0.003,
                "the reference",
                log_loss=0.0523,
            ),
            candidate(
                "LDAMLoss",
                "ldam",
                {"max_margin": 0.5},
                "threshold",
                metric,
                0.8899,
                -0.0013,
                0.0103,
                (0.09, 0.79, 0.12),
                0.01,
                "imbalance",
            ),
            candidate(
                "LabelSmoothing",
                "label smoothing",
                {"smoothing": 0.1},
                "threshold",
                metric,
                0.8895,
                -0.0017,
                0.0062,
                (0.02, 0.96, 0.02),
                0.003,
                "always raced",
            ),
            candidate(
                "FocalLoss",
                "focal",
                {"gamma": 2.0},
                "threshold",
                metric,
                0.8874,
                -0.0038,
                0.0089,
                (0.03, 0.83, 0.14),
                0.03,
                "folklore for imbalance: expected to do nothing",
                edge=True,
            ),
            candidate(
                "BrierLoss",
                "brier",
                {},
                "threshold",
                metric,
                0.8731,
                -0.0181,
                0.0071,
                (0.0, 0.01, 0.99),
                0.01,
                "always raced",
            ),
            candidate(
                "TverskyLoss",
                "tversky",
                {"alpha": 0.3, "beta": 0.7},
                "threshold",
                metric,
                0.6420,
                -0.2492,
                None,
                None,
                0.01,
                "imbalance",
                stage="screened",
            ),
        ],
        "verdict": {
            "answer": "no difference",
            "loss": "CrossEntropyLoss",
            "parameters": {},
            "rule": "threshold",
            "metric": metric,
            "gain": 0.0019,
            "interval": [-0.0052, 0.0090],
            "rows_needed": None,
            "text": "No candidate is better than cross-entropy with its tuned threshold by more than 1 point of balanced accuracy. The threshold "
            "itself is worth 15.2 points over plain argmax.",
        },
        "code": "import torch, whyloss\n\nloss = whyloss.CrossEntropyLoss()\nprobability = logits.softmax(1)[:, 1]\nmalignant = probability >= 0.07\n",
        "command": "whyloss advise mammography.csv --label class --metric balanced_accuracy --seed 0 --budget normal",
        **rest(["LDAM was raced on one seed only: its learning rates 0.1 and 0.3 did not converge."]),
    }


def digits() -> dict[str, Any]:
    names, metric = [str(d) for d in range(10)], "accuracy"
    matrix = [[0.62 if i == j else 0.042 + 0.03 * ((3 * i + j) % 3 == 0) for j in range(10)] for i in range(10)]
    epochs = [
        {"x": e, "y": 0.93 - 0.6 * 0.8**e - slope * max(0, e - 9), "series": name}
        for name, slope in (("cross-entropy", 0.011), ("gce", 0.001))
        for e in range(1, 31)
    ]
    return {
        "data": data("digits-noise40.csv", 1797, 64, dict.fromkeys(names, 179) | {"1": 182, "3": 183}, "digit"),
        "metric": about(metric, "share of rows that are right", "the classes are equally frequent"),
        "findings": [
            finding(
                "noise",
                "serious",
                0.382,
                (0.344, 0.421),
                list(range(11, 1100, 11)),
                "About 38 % of the labels are wrong (95 % interval 34 to 42). Rows with equal features agree, so class overlap does not explain it.",
                "Look at the rows below, worst first, and mend their labels; above 30 % noise a semi-supervised pipeline beats every loss.",
                {
                    "matrix": matrix,
                    "labels": names,
                    "title": "Given label, by estimated true label",
                    "x_title": "given label",
                    "y_title": "estimated true label",
                },
            ),
            finding(
                "overfitting",
                "warning",
                0.21,
                (0.17, 0.26),
                [],
                "Accuracy on held-out rows falls by 21 points after epoch 9: the network learns the wrong labels.",
                "Stop early, or use a loss that forgives wrong labels.",
                {"curve": epochs, "x_title": "epoch", "y_title": "accuracy on held-out rows"},
            ),
        ],
        "rules": [
            rule("argmax", "the class with the largest probability", {}, metric, 0.4682, 0.0, 0.02),
            rule(
                "early stopping",
                "stop at the best epoch on held-out rows",
                {"epoch": 9},
                metric,
                0.5107,
                0.0425,
                0.0151,
            ),
            rule("temperature", "logits divided by 3.4", {"temperature": 3.4}, "log_loss", 1.741, 0.912, 0.101),
        ],
        "candidates": [
            candidate(
                "GeneralizedCrossEntropyLoss",
                "gce",
                {"q": 0.7},
                "argmax",
                metric,
                0.5523,
                0.0416,
                0.0143,
                (0.996, 0.004, 0.0),
                0.01,
                "suspected noise",
            ),
            candidate(
                "NormalizedCrossEntropyLoss + ReverseCrossEntropyLoss",
                "nce+rce",
                {"alpha": 1.0, "beta": 1.0},
                "argmax",
                metric,
                0.5464,
                0.0357,
                0.0171,
                (0.98, 0.02, 0.0),
                0.03,
                "suspected noise",
                edge=True,
            ),
            candidate(
                "SymmetricCrossEntropyLoss",
                "sce",
                {"alpha": 0.1, "beta": 1.0},
                "argmax",
                metric,
                0.5271,
                0.0164,
                0.0189,
                (0.71, 0.27, 0.02),
                0.01,
                "suspected noise",
            ),
            candidate(
                "CrossEntropyLoss",
                "cross-entropy",
                {},
                "argmax",
                metric,
                0.5107,
                0.0,
                None,
                None,
                0.003,
                "the reference",
                log_loss=1.741,
            ),
            candidate(
                "CrossEntropyLoss",
                "label smoothing",
                {"label_smoothing": 0.1},
                "argmax",
                metric,
                0.5098,
                -0.0009,
                0.0121,
                (0.06, 0.86, 0.08),
                0.003,
                "always raced",
            ),
            candidate(
                "MAELoss",
                "mae",
                {},
                "argmax",
                metric,
                0.1841,
                -0.3266,
                0.051,
                (0.0, 0.0, 1.0),
                0.1,
                "suspected noise",
                edge=True,
            ),
        ],
        "verdict": {
            "answer": "advised",
            "loss": "GeneralizedCrossEntropyLoss",
            "parameters": {"q": 0.7},
            "rule": "argmax",
            "metric": metric,
            "gain": 0.0391,
            "interval": [0.0181, 0.0602],
            "rows_needed": None,
            "text": "Generalized cross-entropy is better than cross-entropy by 3.9 points of accuracy on rows that took no part in choosing it. All figures are against the noisy labels.",
        },
        "code": "import whyloss\n\nloss = whyloss.GeneralizedCrossEntropyLoss(q=0.7)\n",
        "command": "whyloss advise digits-noise40.csv --label digit --seed 0 --budget thorough",
        **rest(["The best learning rate of nce+rce and mae lies on the edge of the grid."]),
    }


def tiny() -> dict[str, Any]:
    metric = "log_loss"
    return {
        "data": data("seeds.csv", 42, 7, {"Kama": 15, "Rosa": 14, "Canadian": 13}, "variety"),
        "metric": about(
            metric, "mean of -log p of the given label", "asked for on the command line", higher=False, margin=0.02
        ),
        "findings": [
            finding(
                "size",
                "warning",
                42,
                None,
                [],
                "42 rows are too few to tell losses apart.",
                "Collect more rows before you compare losses.",
            )
        ],
        "rules": [
            rule("argmax", "the class with the largest probability", {}, metric, 0.312, 0.0, 0.11),
            rule("temperature", "logits divided by 1.4", {"temperature": 1.4}, metric, 0.298, 0.014, 0.052),
        ],
        "candidates": [
            candidate(
                "BrierLoss",
                "brier",
                {},
                "temperature",
                metric,
                0.281,
                0.017,
                0.094,
                (0.47, 0.32, 0.21),
                0.01,
                "always raced",
            ),
            candidate(
                "CrossEntropyLoss",
                "cross-entropy",
                {},
                "temperature",
                metric,
                0.298,
                0.0,
                None,
                None,
                0.003,
                "the reference",
            ),
            candidate(
                "CrossEntropyLoss",
                "label smoothing",
                {"label_smoothing": 0.1},
                "temperature",
                metric,
                0.324,
                -0.026,
                0.088,
                (0.16, 0.29, 0.55),
                0.003,
                "always raced",
            ),
        ],
        "verdict": {
            "answer": "undecided",
            "loss": "CrossEntropyLoss",
            "parameters": {},
            "rule": "argmax",
            "metric": metric,
            "gain": 0.017,
            "interval": [-0.077, 0.111],
            "rows_needed": 1300,
            "text": "The interval is wider than the margin of 0.02: with 42 rows a real difference and none look the same.",
        },
        "code": "import whyloss\n\nloss = whyloss.CrossEntropyLoss()\n",
        "command": "whyloss advise seeds.csv --label variety --metric log_loss --seed 0",
        **rest([]),
    }


def data(
    name: str, rows: int, features: int, counts: dict[str, int], label: str, raced: int | None = None
) -> dict[str, Any]:
    return {
        "name": name,
        "rows": rows,
        "features": features,
        "numeric": features,
        "categorical": 0,
        "classes": list(counts),
        "counts": counts,
        "label": label,
        "groups": None,
        "ordered": False,
        "dropped": [{"column": "id", "reason": "a different value in every row"}],
        "raced_rows": raced or rows,
    }


def about(name: str, text: str, chosen: str, higher: bool = True, margin: float = 0.01) -> dict[str, Any]:
    return {"name": name, "text": text, "higher_is_better": higher, "margin": margin, "chosen": chosen}


def finding(
    id: str,
    severity: str,
    value: float,
    interval: tuple[float, float] | None,
    rows: list[int],
    text: str,
    advice: str,
    details: dict[str, Any] | None = None,
) -> dict[str, Any]:
    return {
        "id": id,
        "severity": severity,
        "value": value,
        "interval": list(interval) if interval else None,
        "rows": rows,
        "text": text,
        "advice": advice,
        "details": details or {},
    }


def rule(
    name: str, text: str, parameters: dict[str, float], metric: str, mean: float, gain: float, half: float
) -> dict[str, Any]:
    between = [0.0, 0.0] if name == "argmax" else [gain - half, gain + half]
    return {
        "rule": name,
        "text": text,
        "parameters": parameters,
        "metric": metric,
        "mean": mean,
        "interval": [mean - 0.02, mean + 0.02],
        "gain": gain,
        "gain_interval": between,
    }


def candidate(
    loss: str,
    short: str,
    parameters: dict[str, float],
    rule: str,
    metric: str,
    mean: float,
    difference: float,
    half: float | None,
    odds: tuple[float, float, float] | None,
    learning_rate: float,
    reason: str,
    stage: str = "final",
    edge: bool = False,
    log_loss: float = 0.06,
) -> dict[str, Any]:
    p_better, p_equivalent, p_worse = odds or (None, None, None)
    return {
        "loss": loss,
        "short": short,
        "parameters": parameters,
        "rule": rule,
        "metric": metric,
        "mean": mean,
        "interval": [mean - 0.018, mean + 0.018],
        "p_better": p_better,
        "p_equivalent": p_equivalent,
        "p_worse": p_worse,
        "difference": difference,
        "difference_interval": None if half is None else [difference - half, difference + half],
        "stage": stage,
        "reason": reason,
        "learning_rate": learning_rate,
        "at_grid_edge": edge,
        "log_loss": log_loss,
        "scores": [mean - 0.01, mean, mean + 0.01, mean, mean],
    }


def rest(warnings: list[str]) -> dict[str, Any]:
    return {
        "versions": VERSIONS,
        "seconds": 143.2,
        "stages": {"read": 0.4, "look": 1.9, "diagnose": 11.3, "rules": 2.2, "race": 124.1, "report": 1.4},
        "budget": "normal",
        "seed": 0,
        "warnings": warnings,
    }
