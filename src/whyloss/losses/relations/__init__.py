"""Losses that know how classes relate: ordered, in a tree, or at a cost for each confusion."""

from whyloss.losses.relations.costs import *
from whyloss.losses.relations.distances import *
from whyloss.losses.relations.soft_labels import *
from whyloss.losses.relations.thresholds import *
from whyloss.losses.relations.kappa import *
from whyloss.losses.relations.hierarchy import *
