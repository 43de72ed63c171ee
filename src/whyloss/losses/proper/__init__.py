"""Likelihood and other proper losses: in expectation, nothing beats the true probabilities. And their regularised
kin."""

from whyloss.losses.proper.likelihood import *
from whyloss.losses.proper.scores import *
