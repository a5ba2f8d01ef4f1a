"""What a trained network does: attribution, and smaller networks that do the same."""

from edgewise.interpret.attribution import (
    Attribution,
    attribute,
    feature_interaction,
    input_scores,
)
from edgewise.interpret.forms import Node, Structure
from edgewise.interpret.order import untangle, wiring_length
from edgewise.interpret.prune import prune, prune_edges, prune_inputs, remove_edges, select
from edgewise.interpret.structure import structure

__all__ = [
    "Attribution",
    "Node",
    "Structure",
    "attribute",
    "feature_interaction",
    "input_scores",
    "prune",
    "prune_edges",
    "prune_inputs",
    "remove_edges",
    "select",
    "structure",
    "untangle",
    "wiring_length",
]
