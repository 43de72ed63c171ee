"""What is the matter with the data: findings from out-of-fold probabilities, each a number with its uncertainty.

One subject, one module; this one puts them in order. Knows numpy, scipy, scikit-learn and cleanlab; never torch,
never a file."""

import numpy as np

from whyloss.advise.diagnose.balance import balance_findings
from whyloss.advise.diagnose.calibration import calibration_findings
from whyloss.advise.diagnose.case import Case, Duplicates, Floats, Ints, normalised
from whyloss.advise.diagnose.noise import estimate_noise
from whyloss.advise.diagnose.opinions import first_opinions
from whyloss.advise.diagnose.order import order_findings
from whyloss.advise.diagnose.outliers import outlier_findings
from whyloss.advise.diagnose.relations import relation_findings
from whyloss.advise.diagnose.wrong_labels import noise_findings
from whyloss.advise.finding import Finding

__all__ = ["Duplicates", "diagnose", "first_opinions"]

GRAVITY = ("serious", "warning", "note", "info")


def diagnose(
    features: Floats,
    label: Ints,
    classes: list[str],
    log_p: Floats,
    metric: str,
    ordered: bool,
    duplicates: Duplicates,
    log_p_second: Floats | None = None,
    seed: int = 0,
) -> list[Finding]:
    """All findings, the gravest first.

    `features` (N, D) are encoded and scaled, `label` (N,) are codes into `classes`, `log_p` (N, C) are out-of-fold
    log-probabilities of a model trained with cross-entropy, `log_p_second` those of a model of another kind.
    """
    case = Case(
        features=np.asarray(features),
        label=np.asarray(label, dtype=np.int64),
        classes=classes,
        log_p=normalised(log_p),
        metric=metric,
        ordered=ordered,
        duplicates=duplicates,
        second=None if log_p_second is None else normalised(log_p_second),
        seed=seed,
    )
    noise = estimate_noise(case)
    found = [
        *noise_findings(case, noise),
        *balance_findings(case),
        *relation_findings(case, noise),
        *order_findings(case),
        *outlier_findings(case),
        *calibration_findings(case, noise),
    ]
    return sorted(found, key=lambda finding: GRAVITY.index(finding.severity))
