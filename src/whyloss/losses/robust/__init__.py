"""Losses that forgive wrong labels. What they share: the gradient of a row fades when the model is sure that its label
is wrong.

That is also their weakness: rows that are wrong early on are given up, so they need a good start or few classes."""

from whyloss.losses.robust.bounded import *
from whyloss.losses.robust.linearized import *
from whyloss.losses.robust.truncated import *
from whyloss.losses.robust.bootstrapping import *
from whyloss.losses.robust.divergence import *
from whyloss.losses.robust.asymmetric import *
from whyloss.losses.robust.normalized import *
from whyloss.losses.robust.active_negative import *
from whyloss.losses.robust.correction import *
from whyloss.losses.robust.negative_learning import *
from whyloss.losses.robust.early_learning import *
from whyloss.losses.robust.online_smoothing import *
from whyloss.losses.robust.peers import *
