"""Realistic report dictionaries for the tests of the report: an imbalanced binary set, noisy digits, a tiny set.

Knows the fields of a report, and none of the code that makes or shows one."""

import json
from typing import Any


def sample(name: str) -> dict[str, Any]:
    return {"mammography": mammography, "digits": digits, "tiny": tiny}[name]()


def mammography() -> dict[str, Any]:
    metric, counts = "balanced_accuracy", {"benign": 10923, "malignant": 260}
    share = [0.02, 0.13, 0.26, 0.33, 0.46, 0.52, 0.67, 0.73, 0.86, 0.94]
    bins = [{"confidence": 0.05 + 0.1 * i, "accuracy": share[i], "count": 7400 // (i + 1) ** 2} for i in range(10)]
    findings = [
        finding(
            "class_imbalance|warning|260 of 11,183 rows (2.3 %) are 'malignant'. The metric counts every class alike, "
            "so this matters.|Tune the threshold first: it costs no training.",
            0.0232,
            (0.0206, 0.0262),
            details={"counts": counts},
        ),
        finding(
            "duplicates|serious|2,952 rows repeat an earlier row exactly; 31 of them carry the other label.|"
            "Look at the 31 rows; the folds already keep repeats together.",
            2952,
            rows=[17, 40, 41, 77, 103, 5012, 9041],
        ),
        finding(
            "calibration|note|The probabilities fit the labels.|", 0.0061, (0.0042, 0.0089), details={"bins": bins}
        ),
        finding("label_noise|info|Hardly any label looks wrong (0.4 %).|", 0.004, (0.0, 0.012), rows=[4110, 77]),
    ]
    rules = f"""
        argmax        | {metric} | 0.7391 | 0      | 0      | {{}} | say the most probable class
        threshold     | {metric} | 0.8912 | 0.1521 | 0.0193 | {{"class": 1, "probability": 0.07}} | say 'malignant' when its probability exceeds 0.07
        prior         | {metric} | 0.8874 | 0.1483 | 0.0211 | {{"tau": 1.0}} | divide by the share of the class
        temperature   | log_loss | 0.0512 | 0.0011 | 0.0009 | {{"temperature": 1.21}} | divide the logits by 1.21
        early stopping| {metric} | 0.7402 | 0.0011 | 0.0082 | {{"epoch": 14}} | stop at the best epoch on held-out rows
    """  # noqa: E501
    candidates = """
        CrossEntropyLoss | logit adjustment | {"tau": 1.0}            | 0.8931 | 0.0019  | 0.0071 | 0.13 0.86 0.01 | 0.003 | imbalance
        CrossEntropyLoss | cross-entropy    | {}                      | 0.8912 | 0       |        |                | 0.003 | the reference
        LDAMLoss         | ldam             | {"max_margin": 0.5}     | 0.8899 | -0.0013 | 0.0103 | 0.09 0.79 0.12 | 0.01  | imbalance
        CrossEntropyLoss | label smoothing  | {"label_smoothing": 0.1}| 0.8895 | -0.0017 | 0.0062 | 0.02 0.96 0.02 | 0.003 | always raced
        FocalLoss        | focal            | {"gamma": 2.0}          | 0.8874 | -0.0038 | 0.0089 | 0.03 0.83 0.14 | 0.03* | folklore: expected to do nothing
        BrierLoss        | brier            | {}                      | 0.8731 | -0.0181 | 0.0071 | 0 0.01 0.99    | 0.01  | always raced
        TverskyLoss      | tversky          | {"alpha": 0.3}          | 0.6420 | -0.2492 |        |                | 0.01  | imbalance
    """  # noqa: E501
    return {
        "data": data("mammography.csv", 11183, 6, counts, "class", raced=8000),
        "metric": about(
            metric, "mean recall over the classes", "2.3 % of the rows are 'malignant': accuracy is blind."
        ),
        "findings": findings,
        "rules": [rule(line) for line in lines(rules)],
        "candidates": ranked(candidates, metric, "threshold"),
        "verdict": verdict("no difference", "CrossEntropyLoss", {}, "threshold", metric, 0.0019, (-0.0052, 0.0090))
        | {"text": "Stay with cross-entropy and its threshold: no loss is likely to be better by more than 0.01."},
        "code": "import whyloss\n\nloss = whyloss.CrossEntropyLoss()\nmalignant = logits.softmax(1)[:, 1] > 0.07\n",
        "command": "whyloss advise mammography.csv --label class --metric balanced_accuracy --seed 0 --budget normal",
        **rest(["The best learning rate of focal lies on the edge of the grid."]),
    }


def digits() -> dict[str, Any]:
    names, metric = [str(digit) for digit in range(10)], "accuracy"
    matrix = [[0.62 if i == j else 0.042 + 0.03 * ((3 * i + j) % 3 == 0) for j in range(10)] for i in range(10)]
    curve = [
        {"x": epoch, "y": 0.93 - 0.6 * 0.8**epoch - slope * max(0, epoch - 9), "series": name}
        for name, slope in (("cross-entropy", 0.011), ("gce", 0.001))
        for epoch in range(1, 31)
    ]
    thirds = [{"x": x, "y": y} for x, y in (("surest third", 0.31), ("middle third", 0.37), ("least sure", 0.46))]
    suspects = [{"row": row, "given": "3", "suggested": "8", "probability_given": 0.0031} for row in range(11, 300, 11)]
    findings = [
        finding(
            "label_noise|serious|About 38 % of the labels are wrong. Rows with equal features agree, so class overlap "
            "does not explain it.|Look at the rows below and mend their labels; above 30 % noise a semi-supervised "
            "pipeline beats every loss.",
            0.382,
            (0.344, 0.421),
            rows=[entry["row"] for entry in suspects],
            details={
                "suspects": suspects,
                "matrix": matrix,
                "labels": names,
                "title": "Share of each true class (row) under each given label (column)",
                "by_confidence": {"curve": thirds, "x_title": "rows by the model's confidence", "y_title": "disagree"},
            },
        ),
        finding(
            "overfitting|warning|Accuracy on held-out rows falls by 21 points after epoch 9.|Stop early.",
            0.21,
            (0.17, 0.26),
            details={"curve": curve, "x_title": "epoch", "y_title": "accuracy on held-out rows"},
        ),
    ]
    rules = """
        argmax         | accuracy | 0.4682 | 0      | 0      | {}                   | say the most probable class
        early stopping | accuracy | 0.5107 | 0.0425 | 0.0151 | {"epoch": 9}         | stop at the best epoch, held out
        temperature    | log_loss | 1.741  | 0.912  | 0.101  | {"temperature": 3.4} | divide the logits by 3.4
    """
    candidates = """
        GeneralizedCrossEntropyLoss | gce | {"q": 0.7}                         | 0.5523 | 0.0416 | 0.0143 | 0.996 0.004 0 | 0.01  | suspected noise
        NormalizedCrossEntropyLoss + ReverseCrossEntropyLoss | nce+rce | {"alpha": 1.0} | 0.5464 | 0.0357 | 0.0171 | 0.98 0.02 0 | 0.03* | suspected noise
        SymmetricCrossEntropyLoss | sce | {"alpha": 0.1, "beta": 1.0}          | 0.5271 | 0.0164 | 0.0189 | 0.71 0.27 0.02 | 0.01  | suspected noise
        CrossEntropyLoss | cross-entropy | {}                                  | 0.5107 | 0      |        |                | 0.003 | the reference
        CrossEntropyLoss | label smoothing | {"label_smoothing": 0.1}          | 0.5098 |-0.0009 | 0.0121 | 0.06 0.86 0.08 | 0.003 | always raced
        MAELoss | mae | {}                                                     | 0.1841 |-0.3266 | 0.051  | 0 0 1          | 0.1*  | suspected noise
    """  # noqa: E501
    loss = "GeneralizedCrossEntropyLoss"
    return {
        "data": data("digits-noise40.csv", 1797, 64, dict.fromkeys(names, 179) | {"1": 182, "3": 183}, "digit"),
        "metric": about(metric, "share of rows decided right", "No class is rare (the smallest has 10 % of the rows)."),
        "findings": findings,
        "rules": [rule(line) for line in lines(rules)],
        "candidates": ranked(candidates, metric, "argmax"),
        "verdict": verdict("advised", loss, {"q": 0.7}, "argmax", metric, 0.0391, (0.0181, 0.0602))
        | {"text": "gce is better than cross-entropy: choosing it gained +0.039. All of this is against noisy labels."},
        "code": "import whyloss\n\nloss = whyloss.GeneralizedCrossEntropyLoss(q=0.7)\n",
        "command": "whyloss advise digits-noise40.csv --label digit --seed 0 --budget thorough",
        **rest(["The best learning rates of nce+rce and mae lie on the edge of the grid."]),
    }


def tiny() -> dict[str, Any]:
    metric = "log_loss"
    rules = """
        argmax      | log_loss | 0.312 | 0     | 0     | {}                   | say the most probable class
        temperature | log_loss | 0.298 | 0.014 | 0.052 | {"temperature": 1.4} | divide the logits by 1.4
    """
    candidates = """
        BrierLoss        | brier           | {}                       | 0.281 | 0.017 | 0.094 | 0.47 0.32 0.21 | 0.01  | always raced
        CrossEntropyLoss | cross-entropy   | {}                       | 0.298 | 0     |       |                | 0.003 | the reference
        CrossEntropyLoss | label smoothing | {"label_smoothing": 0.1} | 0.324 |-0.026 | 0.088 | 0.16 0.29 0.55 | 0.003 | always raced
    """  # noqa: E501
    return {
        "data": data("seeds.csv", 42, 7, {"Kama": 15, "Rosa": 14, "Canadian": 13}, "variety"),
        "metric": about(metric, "mean of -log p of the label", "You asked for it.", higher=False, margin=0.02),
        "findings": [
            finding("few_rows|warning|42 rows are too few to tell losses apart.|Collect more rows first.", 42)
        ],
        "rules": [rule(line) for line in lines(rules)],
        "candidates": ranked(candidates, metric, "temperature"),
        "verdict": verdict("undecided", "CrossEntropyLoss", {}, "temperature", metric, 0.017, (-0.077, 0.111), 1300)
        | {"text": "42 rows are too few to tell whether another loss is better. About 1,300 rows would tell."},
        "code": "import whyloss\n\nloss = whyloss.CrossEntropyLoss()\n",
        "command": "whyloss advise seeds.csv --label variety --metric log_loss --seed 0",
        **rest([]),
    }


def lines(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]


def data(
    name: str, rows: int, features: int, counts: dict[str, int], label: str, raced: int | None = None
) -> dict[str, Any]:
    sizes = {"rows": rows, "features": features, "numeric": features, "categorical": 0, "raced_rows": raced or rows}
    dropped = [{"column": "id", "reason": "a different value in every row"}]
    named = {"name": name, "classes": list(counts), "counts": counts, "label": label, "dropped": dropped}
    return named | sizes | {"groups": None, "ordered": False}


def about(name: str, text: str, chosen: str, higher: bool = True, margin: float = 0.01) -> dict[str, Any]:
    return {"name": name, "text": text, "higher_is_better": higher, "margin": margin, "chosen": chosen}


def finding(
    said: str,
    value: float,
    interval: tuple[float, float] | None = None,
    rows: list[int] | None = None,
    details: dict[str, Any] | None = None,
) -> dict[str, Any]:
    id, severity, text, advice = said.split("|")
    shown = {"id": id, "severity": severity, "text": text, "advice": advice}
    between = list(interval) if interval else None
    return shown | {"value": value, "interval": between, "rows": rows or [], "details": details or {}}


def rule(cells: list[str]) -> dict[str, Any]:
    name, metric, text = cells[0], cells[1], cells[6]
    mean, gain, half = map(float, cells[2:5])
    about = {"rule": name, "text": text, "parameters": json.loads(cells[5]), "metric": metric}
    figures = {"mean": mean, "interval": [mean - 0.02, mean + 0.02], "gain": gain}
    return about | figures | {"gain_interval": [gain - half, gain + half]}


def ranked(table: str, metric: str, rule: str) -> list[dict[str, Any]]:
    return [candidate(cells, metric, rule, rank) for rank, cells in enumerate(lines(table), 1)]


def candidate(cells: list[str], metric: str, rule: str, rank: int) -> dict[str, Any]:
    loss, short, parameters, mean_text, difference_text, half, odds, learning_rate, reason = cells
    mean, difference = float(mean_text), float(difference_text)
    better, equivalent, worse = map(float, odds.split()) if odds else (None, None, None)
    final = odds or difference == 0
    who = {"loss": loss, "short": short, "parameters": json.loads(parameters), "rule": rule, "reason": reason}
    level = {"metric": metric, "mean": mean, "interval": [mean - 0.018, mean + 0.018], "difference": difference}
    chances = {"p_better": better, "p_equivalent": equivalent, "p_worse": worse}
    rate = {"learning_rate": float(learning_rate.rstrip("*")), "at_grid_edge": learning_rate.endswith("*")}
    between = [difference - float(half), difference + float(half)] if half else None
    place = {"rank": rank, "stage": "final" if final else "screened", "difference_interval": between}
    return who | level | chances | rate | place | {"log_loss": 0.06, "scores": [mean - 0.01, mean + 0.01] * 3}


def verdict(
    answer: str,
    loss: str,
    parameters: dict[str, float],
    rule: str,
    metric: str,
    gain: float,
    interval: tuple[float, float],
    rows_needed: int | None = None,
) -> dict[str, Any]:
    chosen = {"answer": answer, "loss": loss, "parameters": parameters, "rule": rule, "metric": metric}
    return chosen | {"gain": gain, "interval": list(interval), "rows_needed": rows_needed}


def rest(warnings: list[str]) -> dict[str, Any]:
    stages = {"read": 0.4, "look": 1.9, "diagnose": 11.3, "rules": 2.2, "race": 124.1, "report": 1.4}
    versions = {"whyloss": "0.1.0", "torch": "2.13.0", "scikit-learn": "1.9.1", "python": "3.11.7"}
    made = {"versions": versions, "seconds": 143.2, "stages": stages, "budget": "normal"}
    return made | {"seed": 0, "warnings": warnings}
