"""Region losses: how well a predicted region and the labelled one overlap, alone or beside a loss of single pixels."""

from whyloss.losses.region.combined import *
from whyloss.losses.region.overlap import *
from whyloss.losses.region.region import *
