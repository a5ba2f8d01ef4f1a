"""Layers and networks as ordinary torch modules."""

from edgewise.nn.layer import KANLayer
from edgewise.nn.network import Network
from edgewise.nn.nodes import Nodes
from edgewise.nn.trace import Trace

__all__ = ["KANLayer", "Network", "Nodes", "Trace"]
