"""Likelihood and other proper losses: in expectation, nothing beats the true probabilities. And their regularised
kin."""

from whyloss.losses.proper.likelihood import *
from whyloss.losses.proper.scores import *
from whyloss.losses.proper.power_scores import *
from whyloss.losses.proper.polynomial import *
from whyloss.losses.proper.boosting import *
from whyloss.losses.proper.rewritten import *
from whyloss.losses.proper.tempered import *
from whyloss.losses.proper.fenchel_young import *
from whyloss.losses.proper.evidential import *
from whyloss.losses.proper.open_set import *
from whyloss.losses.proper.distillation import *
from whyloss.losses.proper.consistency import *
from whyloss.losses.proper.adaptive import *
