"""Active-passive losses by their papers' names: a normalised loss, which pulls the label's probability up but underfits
alone, plus a passive one, which pushes the others' down."""

from typing import Any

from whyloss.losses.loss import Loss
from whyloss.losses.robust.active_negative import NormalizedNegativeCrossEntropyLoss, NormalizedNegativeFocalLoss
from whyloss.losses.robust.asymmetric import (
    AsymmetricExponentialLoss,
    AsymmetricGeneralizedCrossEntropyLoss,
    AsymmetricUnhingedLoss,
)
from whyloss.losses.robust.bounded import MeanAbsoluteErrorLoss, ReverseCrossEntropyLoss
from whyloss.losses.robust.normalized import NormalizedCrossEntropyLoss, NormalizedFocalLoss

PAIRS: dict[str, tuple[type[Loss], type[Loss]]] = {
    "nce+mae": (NormalizedCrossEntropyLoss, MeanAbsoluteErrorLoss),  # Ma et al. 2020, arXiv:2006.13554, section 3.3
    "nce+rce": (NormalizedCrossEntropyLoss, ReverseCrossEntropyLoss),
    "nfl+mae": (NormalizedFocalLoss, MeanAbsoluteErrorLoss),
    "nfl+rce": (NormalizedFocalLoss, ReverseCrossEntropyLoss),
    "nce+agce": (NormalizedCrossEntropyLoss, AsymmetricGeneralizedCrossEntropyLoss),  # Zhou et al. 2021, 2106.03110
    "nce+aul": (NormalizedCrossEntropyLoss, AsymmetricUnhingedLoss),
    "nce+ael": (NormalizedCrossEntropyLoss, AsymmetricExponentialLoss),
    "anl-ce": (NormalizedCrossEntropyLoss, NormalizedNegativeCrossEntropyLoss),  # Ye et al. 2023, NeurIPS, section 3
    "anl-fl": (NormalizedFocalLoss, NormalizedNegativeFocalLoss),
}


def active_passive(name: str, alpha: float = 1.0, beta: float = 1.0, **fields: Any) -> Loss:
    """alpha * active + beta * passive, for a pair by its paper's name: nce+mae, nce+rce, nfl+mae, nfl+rce (Ma et al.
    2020), nce+agce, nce+aul, nce+ael (Zhou et al. 2021), anl-ce, anl-fl (Ye et al. 2023).

    Args:
        name: of the pair, in any case.
        alpha: >= 0, weight of the active loss. More fits faster and forgives less; the papers' choices grow with the
            number of classes (1 for 10 classes, 10 for 100).
        beta: >= 0, weight of the passive loss. Ma et al.'s code takes half the mean absolute error, and a = log 1e-4 =
            -9.2 for the reverse cross-entropy.
        fields: parameters and options, for every loss of the pair that has them.

    >>> import torch, whyloss
    >>> loss = whyloss.active_passive("NCE+RCE", alpha=10.0, beta=0.1, a=-6.0, ignore_index=255)
    >>> loss(torch.zeros(1, 2), torch.tensor([0]))
    tensor(5.3000)
    """
    if name.lower() not in PAIRS:
        raise ValueError(f"active_passive: there is no pair named {name!r}; there are {', '.join(PAIRS)}.")
    for what, weight in (("alpha", alpha), ("beta", beta)):
        if not weight >= 0:
            raise ValueError(f"active_passive: {what} >= 0 is needed, got {weight!r}.")
    active, passive = PAIRS[name.lower()]
    if unknown := set(fields) - set(active.fields()) - set(passive.fields()):
        raise TypeError(f"active_passive: no loss of {name} has a parameter {', '.join(sorted(unknown))}.")
    one, other = (cls(**{n: v for n, v in fields.items() if n in cls.fields()}) for cls in (active, passive))
    return alpha * one + beta * other
