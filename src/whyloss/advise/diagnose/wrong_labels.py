"""What is said about wrong labels: the rate, the mix-ups, the suspect rows, and whether features foretell them.

Knows the estimate of `noise`; estimates nothing of the rate itself."""

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier

from whyloss.advise.diagnose.case import MOST_ROWS, Bools, Case, Floats, Ints, counted, percent, share, worst
from whyloss.advise.diagnose.noise import Noise
from whyloss.advise.finding import Finding, Severity

SEMI_SUPERVISED = 0.3  # from this rate on, pipelines that set labels aside beat every loss
FEW = 30  # fewer flagged rows say nothing about what foretells them
SAMPLE = 4000  # rows that the search for a pattern looks at


def noise_findings(case: Case, noise: Noise) -> list[Finding]:
    found = [_rate(case, noise)]
    if noise.trusted or noise.estimate >= 0.02:
        found.append(_transition(case, noise))
    if len(noise.flagged):
        found.append(_issues(case, noise))
    return found + _instance_dependent(case, noise)


def _rate(case: Case, noise: Noise) -> Finding:
    first, second, _ = noise.errors
    advice = ""
    if noise.trusted:
        severity: Severity = "serious" if noise.interval[0] >= 0.1 else "warning" if noise.estimate >= 0.03 else "note"
        text = (
            f"About {percent(noise.estimate)} of the labels look wrong ({percent(noise.interval[0])} to "
            f"{percent(noise.interval[1])}). Where the model is surest, {percent(first)} of the labels disagree with "
            f"it, in the next third {percent(second)}: errors from overlap fade with confidence, these do not."
        )
        advice = (
            "Look at the ranked rows and relabel; then early stopping or a lower learning rate; then a robust loss "
            "(GCE, SCE, NCE with RCE), or forward correction where the transition matrix is trusted."
        )
        if noise.estimate >= SEMI_SUPERVISED:
            advice += " At this rate semi-supervised pipelines, which set suspect labels aside, beat every pure loss."
    elif noise.error < 0.05:
        severity = "info"
        text = (
            f"At most {percent(noise.error)} of the labels can be wrong: the model disagrees with no more, out of fold."
        )
    else:
        severity = "note"
        text = (
            f"Between 0 and {percent(noise.error)} of the labels may be wrong; overlapping classes explain the error "
            f"as well. {_doubt(noise)}"
        )
        advice = (
            "Look at the ranked rows before blaming the labels. Better features help against overlap, a loss does not."
        )
    return Finding(
        id="label_noise",
        severity=severity,
        text=text,
        value=noise.estimate,
        interval=noise.interval,
        rows=[int(row) for row in noise.flagged[:MOST_ROWS]] if noise.trusted else [],
        advice=advice,
        details={
            "estimate": noise.estimate,
            "error": noise.error,
            "confident_joint": noise.joint,
            "overlap_explains": not noise.trusted,
            "trusted": noise.trusted,
            "curve": [
                {"x": name, "y": value, "series": "labels that disagree"}
                for name, value in zip(("surest third", "middle third", "least sure"), noise.errors, strict=True)
            ],
            "x_title": "rows by the model's confidence",
            "y_title": "share of labels that disagree",
        },
    )


def _doubt(noise: Noise) -> str:
    first, second, _ = noise.errors
    if not noise.skilled:
        return "The model finds too little in the features to tell the two apart."
    if second > 1.5 * first:
        return (
            f"Where the model is surest, {percent(first)} of the labels disagree with it, in the next third "
            f"{percent(second)}: errors fade with confidence, as overlap does."
        )
    return "There are too few rows, or too few disagreements where the model is sure, to tell the two apart."


def _transition(case: Case, noise: Noise) -> Finding:
    off = noise.matrix - np.diag(np.diag(noise.matrix))
    true, given = np.unravel_index(int(off.argmax()), off.shape)
    named = f"{case.classes[true]} labelled as {case.classes[given]}"
    part = percent(float(off[true, given]))
    if noise.trusted:
        text = f"The most frequent mix-up is {named}: {part} of that class."
        if not noise.matrix_trusted:
            text += " The whole matrix is not certain enough to correct a loss with."
    else:
        text = (
            f"If the labels were at fault, {named} would be the most frequent mix-up ({part}); overlap looks the same."
        )
    return Finding(
        id="noise_transition",
        severity="note" if noise.trusted else "info",
        text=text,
        value=float(np.diag(noise.matrix).mean()),
        advice="Forward correction can use this matrix." if noise.matrix_trusted else "",
        details={
            "matrix": noise.matrix.round(6).tolist(),
            "labels": case.classes,
            "title": "share of each true class (row) under each given label (column)",
            "trusted": noise.matrix_trusted,
        },
    )


def _issues(case: Case, noise: Noise) -> Finding:
    rows = noise.flagged
    rate = share(len(rows), case.rows)
    agree = None if case.second is None else case.second[rows].argmax(1) == case.predicted[rows]
    text = f"{counted(len(rows))} carry a label that a model which never saw them holds to be wrong."
    if agree is not None:
        text += f" A second model of another kind names the same class for {int(agree.sum())}."
    hint = "Perhaps half of such flags are real errors with a strong model, and a fifth with a weak one."
    return Finding(
        id="label_issues",
        severity="warning" if noise.trusted and noise.estimate >= 0.03 else "note" if rate[0] > 0.01 else "info",
        text=text,
        value=len(rows) / case.rows,
        interval=rate,
        rows=[int(row) for row in rows[:MOST_ROWS]],
        advice=f"Look at them in this order and relabel. {hint}",
        details={
            "suspects": [
                {
                    "row": int(row),
                    "given": case.classes[int(case.label[row])],
                    "suggested": case.classes[int(case.predicted[row])],
                    "probability_given": round(float(case.p[row, case.label[row]]), 4),
                    "second_agrees": None if agree is None else bool(agree[place]),
                }
                for place, row in enumerate(rows[:MOST_ROWS])
            ]
        },
    )


def _instance_dependent(case: Case, noise: Noise) -> list[Finding]:
    """Among rows that the model surely takes for one class: do the features foretell which are labelled otherwise?

    The least sure third is left out, because there overlap would be found and taken for a pattern of the noise."""
    sure = np.flatnonzero(noise.third < 2)
    sure = np.sort(case.generator(1).permutation(sure)[:SAMPLE])
    flag = noise.suggested[sure] != case.label[sure]
    if min(flag.sum(), (~flag).sum()) < FEW:
        return []
    group, fold = noise.suggested[sure], case.folds(3, 2)[sure]
    score = np.zeros(len(sure))
    for part in range(3):
        train, test = fold != part, fold == part
        if not test.any() or len(np.unique(flag[train])) < 2:
            return []
        trees = ExtraTreesClassifier(n_estimators=60, min_samples_leaf=5, random_state=case.seed)
        score[test] = trees.fit(case.features[sure][train], flag[train]).predict_proba(case.features[sure][test])[:, 1]
    area, low, high = _area_within(score, flag, group)
    if not np.isfinite(area):
        return []
    pattern = low > 0.6 and float(flag.mean()) > 0.02
    advice = ""
    if not pattern:
        text = (
            f"Nothing in the features foretells which labels disagree with the model (AUC {area:.2f} inside a class)."
        )
    else:
        text = (
            f"The features foretell which labels disagree with the model (AUC {area:.2f} inside a class; chance: 0.50)."
        )
        if not noise.trusted:
            text += " Overlapping classes look the same."
        advice = (
            "Look at those rows together: one source or one region may be at fault. Robust losses and forward "
            "correction assume that noise strikes every row of a class alike, and gain less here."
        )
    rows = worst(sure[flag], score[flag]) if pattern else []
    return [
        Finding(
            id="instance_dependent_noise",
            severity="note" if pattern and noise.trusted else "info",
            text=text,
            value=area,
            interval=(low, high),
            rows=rows,
            advice=advice,
            details={"flagged": int(flag.sum()), "looked_at": len(sure)},
        )
    ]


def _area_within(score: Floats, flag: Bools, group: Ints) -> tuple[float, float, float]:
    """AUC over pairs of the same class, with the interval of Hanley and McNeil summed over the classes."""
    areas: list[float] = []
    variances: list[float] = []
    pairs: list[float] = []
    for code in np.unique(group):
        inside = group == code
        positive, negative = score[inside & flag], score[inside & ~flag]
        if min(len(positive), len(negative)) < 5:
            continue
        below = np.searchsorted(np.sort(negative), positive, "left")
        upto = np.searchsorted(np.sort(negative), positive, "right")
        area = float((below + upto).sum() / 2 / (len(positive) * len(negative)))
        q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
        spread = area * (1 - area) + (len(positive) - 1) * (q1 - area**2) + (len(negative) - 1) * (q2 - area**2)
        areas.append(area)
        variances.append(spread / (len(positive) * len(negative)))
        pairs.append(float(len(positive) * len(negative)))
    if not areas:
        return float("nan"), 0.0, 1.0
    weight = np.asarray(pairs) / sum(pairs)
    mean = float(weight @ np.asarray(areas))
    half = 1.96 * float(np.sqrt((weight**2) @ np.asarray(variances)))
    return mean, max(0.0, mean - half), min(1.0, mean + half)
