"""Rows far from all others, and whether their labels agree with what models expect there.

Far alone is harmless: with a right label a far row hurts only a squared loss on a linear output. Far and wrongly
labelled is what cross-entropy suffers from. Knows features and the two opinions."""

import numpy as np
from scipy.stats import binomtest
from sklearn.ensemble import IsolationForest

from whyloss.advise.diagnose.case import MOST_ROWS, Case, Floats, counted, percent, share
from whyloss.advise.finding import Finding

FAR = 4.0  # standard deviations of the upper half of the scores


def outlier_findings(case: Case) -> list[Finding]:
    if case.rows < 30:
        return []
    score = _isolation(case)
    middle, upper = np.quantile(score, [0.5, 0.9])
    far = (score - middle > FAR * max(float(upper - middle), 1e-9) / 1.2816) & (score > 0.6)
    if not far.any():
        return []
    wrong = far & case.wrong
    if case.second is not None:
        wrong &= case.second.argmax(1) == case.predicted
    mislabelled, total = int(wrong.sum()), int(far.sum())
    usual = float(case.wrong[~far].mean())
    # Far rows may well be hard; only more disagreement than elsewhere speaks of wrong labels.
    excess = mislabelled >= 3 and binomtest(mislabelled, total, max(usual, 1e-6), alternative="greater").pvalue < 0.01
    who = counted(total, "row lies", "rows lie")
    if excess:
        text = (
            f"{who} far from all others, and {mislabelled} of them are labelled otherwise than the models "
            f"expect ({percent(usual)} is usual elsewhere)."
        )
        advice = (
            "Look at these rows first: a far row with a wrong label pulls hardest on cross-entropy. Mend or drop them; "
            "else use a bounded loss."
        )
    else:
        text = f"{who} far from all others; their labels agree with the models no less than elsewhere."
        advice = (
            "Right labels far out hurt only a squared error on a linear output. Check units and typing errors; clip "
            "where values are wrong."
        )
    rows = np.flatnonzero(far)
    order = np.lexsort((-score[rows], ~wrong[rows]))
    return [
        Finding(
            id="outliers",
            severity="info" if not excess else "warning" if mislabelled >= 0.005 * case.rows else "note",
            text=text,
            value=total / case.rows,
            interval=share(total, case.rows),
            rows=[int(row) for row in rows[order][:MOST_ROWS]],
            advice=advice,
            details={
                "far": total,
                "mislabelled": mislabelled,
                "usual_error": usual,
                "counts": {"label agrees": total - mislabelled, "label disagrees": mislabelled},
            },
        )
    ]


def _isolation(case: Case) -> Floats:
    """Anomaly score in (0, 1] from forests that never saw the row or its twins."""
    fold = case.folds(3, 8)
    score = np.full(case.rows, 0.5)
    for part in range(3):
        train, test = fold != part, fold == part
        if train.any() and test.any():
            forest = IsolationForest(n_estimators=60, random_state=case.seed + part).fit(case.features[train])
            score[test] = -np.asarray(forest.score_samples(case.features[test]))
    return score
