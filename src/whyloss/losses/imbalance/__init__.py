"""Losses for classes of unequal size: weights, focusing, and shifting the logits by the prior.

Before any of these, tune the decision threshold of a model trained with cross-entropy; that mends most of what
imbalance breaks, and keeps the probabilities calibrated."""

from whyloss.losses.imbalance.focal import *
from whyloss.losses.imbalance.priors import *
