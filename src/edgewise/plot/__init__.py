"""Pictures of networks, edges, training and results; matplotlib is loaded at the first one."""

from edgewise.plot.network import network

__all__ = ["network"]
