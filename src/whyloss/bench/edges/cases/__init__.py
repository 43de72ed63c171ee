"""The cases, topic by topic. A case for a loss that does not exist yet waits until it does."""

from . import accepted, confident, definitions, gradients, ignored, masked, means, nothing, refused, regions

EDGES = tuple(
    edge
    for topic in (nothing, ignored, masked, confident, means, definitions, regions, accepted, refused, gradients)
    for edge in topic.EDGES
)
