"""Losses for classes of unequal size: weights, focusing, and shifting the logits by the prior.

Before any of these, tune the decision threshold of a model trained with cross-entropy; that mends most of what
imbalance breaks, and keeps the probabilities calibrated."""

from whyloss.losses.imbalance.focal import *
from whyloss.losses.imbalance.focusing import *
from whyloss.losses.imbalance.quality import *
from whyloss.losses.imbalance.density import *
from whyloss.losses.imbalance.priors import *
from whyloss.losses.imbalance.scaling import *
from whyloss.losses.imbalance.seesaw import *
from whyloss.losses.imbalance.equalization import *
from whyloss.losses.imbalance.balanced import *
from whyloss.losses.imbalance.hard import *
from whyloss.losses.imbalance.ranking import *
from whyloss.losses.imbalance.top import *
from whyloss.losses.imbalance.auc_margin import *
from whyloss.losses.imbalance.confusion import *
