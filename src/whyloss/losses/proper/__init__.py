"""Likelihood and other proper losses: in expectation, nothing beats the true probabilities. And their regularised
kin."""

from whyloss.losses.proper.boosting import *
from whyloss.losses.proper.fenchel_young import *
from whyloss.losses.proper.likelihood import *
from whyloss.losses.proper.polynomial import *
from whyloss.losses.proper.power_scores import *
from whyloss.losses.proper.scores import *
from whyloss.losses.proper.tempered import *
