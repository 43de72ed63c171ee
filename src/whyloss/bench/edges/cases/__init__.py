"""The cases, topic by topic. A case for a loss that does not exist yet waits until it does."""

from . import (
    accepted,
    batches,
    confident,
    definitions,
    gradients,
    ignored,
    masked,
    means,
    nothing,
    ordered,
    published,
    refused,
    regions,
)

EDGES = (
    *(*nothing.EDGES, *ignored.EDGES, *masked.EDGES, *confident.EDGES, *means.EDGES, *definitions.EDGES),
    *(*regions.EDGES, *batches.EDGES, *ordered.EDGES, *accepted.EDGES, *refused.EDGES, *gradients.EDGES),
    *published.EDGES,
)
