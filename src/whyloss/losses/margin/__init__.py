"""Margin losses: content once the label leads by enough, blind to probabilities; and margins between angles."""

from whyloss.losses.margin.hinge import *
from whyloss.losses.margin.sums import *
from whyloss.losses.margin.smooth import *
from whyloss.losses.margin.cosine import *
from whyloss.losses.margin.lengths import *
from whyloss.losses.margin.adaptive import *
from whyloss.losses.margin.center import *
