"""The claims about probabilities: how well cross-entropy finds them, and whether other losses do."""

from whyloss.claims.sentences.estimating import ESTIMATING
from whyloss.claims.sentences.truthful import TRUTHFUL

CLAIMS = [ESTIMATING, TRUTHFUL]
