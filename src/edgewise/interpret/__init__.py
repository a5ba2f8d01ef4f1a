"""What a trained network does: attribution, and smaller networks that do the same."""

from edgewise.interpret.attribution import Attribution, attribute
from edgewise.interpret.prune import prune, prune_edges, prune_inputs, remove_edges, select

__all__ = [
    "Attribution",
    "attribute",
    "prune",
    "prune_edges",
    "prune_inputs",
    "remove_edges",
    "select",
]
