"""Numbers predicted as distributions over bins: targets, and what decodes them."""

from whyloss.losses.continuous.binned import *
