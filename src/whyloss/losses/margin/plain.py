"""Cross-entropy of logits that a loss has changed itself, on whichever engine fits."""

from torch import Tensor

from whyloss.losses.proper.likelihood import CrossEntropyLoss
from whyloss.stats import engine
from whyloss.stats.rows import Rows

_LOSS = CrossEntropyLoss()


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """[N] from logits [N, C] and labels [N] or distributions [N, C], as `WholeRowLoss.losses` gets them."""
    own, _ = _LOSS.formulas()
    label, mix = (target, None) if target.ndim == 1 else (None, target)
    return engine.each(logits, Rows(own.names, own.function, label, mix, key=own.key()))
