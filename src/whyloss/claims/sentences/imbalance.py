"""The claims about classes of unequal size: who is found, whose gradient counts, and whether Dice loss helps."""

from whyloss.claims.sentences.class_gradients import GRADIENTS
from whyloss.claims.sentences.minority import MINORITY
from whyloss.claims.sentences.overlap import OVERLAP

CLAIMS = [MINORITY, GRADIENTS, OVERLAP]
