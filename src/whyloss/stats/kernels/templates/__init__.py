"""The kernels, but for what depends on the loss: `$sums`, `$k` and kin are filled in by source.py.

Pointers: z [N, C] logits, out the gradient, label [N], keep [N] (0: the row counts for nothing), ignore the label of
such rows, weight [N], share one number that all gradients are multiplied with, upstream [N] or one number, shift [C],
margin [C], scale a number or [C], diagonal [C] and table [C, C] of the loss's table, losses [N], saved
[2 + coefficients, N]. None where there is none: the branch that reads it is then not compiled.

Rows are read in tiles of [K, T]: K values fall to a lane before lanes meet, so that an element costs one exponential
and a K-th of another. A row starts wherever its stride puts it; what is aligned to 16 bytes goes in wide accesses, the
few elements at either end apart. The label's own gradient is written last, once, before any rounding. ACC: the type
that is computed in."""

from whyloss.stats.kernels.templates.long import LOADED, PASSES, PULL_BACK, STREAM, SUMS
from whyloss.stats.kernels.templates.mixture import LONG, SHARED, SHORT
from whyloss.stats.kernels.templates.near import NEAR as NEAR
from whyloss.stats.kernels.templates.planes import PLANES
from whyloss.stats.kernels.templates.short import SMALL, SMALL_PASSES, SMALL_SUMS

TRACED = (LOADED, PASSES, STREAM, PULL_BACK, SMALL_PASSES, SMALL, PLANES)
EAGER = (LOADED, PASSES, SUMS, PULL_BACK, SMALL_PASSES, SMALL_SUMS)
MIXTURE = (LOADED, PASSES, SMALL_PASSES, SHARED, SHORT, LONG)
