"""Margin losses: content once the label leads by enough, blind to probabilities."""

from whyloss.losses.margin.hinge import *
