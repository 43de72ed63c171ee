"""The cases, topic by topic. A case for a loss that does not exist yet waits until it does."""

from . import accepted, confident, definitions, ignored, masked, means, nothing, refused

EDGES = tuple(
    edge
    for topic in (nothing, ignored, masked, confident, means, definitions, accepted, refused)
    for edge in topic.EDGES
)
