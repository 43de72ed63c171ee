"""Losses for several labels at once, some of which may be unknown."""

from whyloss.losses.multilabel.sets import *
from whyloss.losses.multilabel.two_way import *
from whyloss.losses.multilabel.asymmetric import *
from whyloss.losses.multilabel.partial import *
from whyloss.losses.multilabel.balanced import *
