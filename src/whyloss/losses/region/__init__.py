"""Region losses: how well a predicted region and the labelled one overlap, alone or beside a loss of single pixels."""

from whyloss.losses.region.region import *
from whyloss.losses.region.overlap import *
from whyloss.losses.region.focused import *
from whyloss.losses.region.soft import *
from whyloss.losses.region.joint import *
from whyloss.losses.region.lovasz import *
from whyloss.losses.region.combined import *
from whyloss.losses.region.unified import *
from whyloss.losses.region.maps import *
from whyloss.losses.region.skeleton import *
from whyloss.losses.region.border import *
from whyloss.losses.region.neighbours import *
from whyloss.losses.region.mutual import *
