"""Pictures of networks, edges, training and results; matplotlib is loaded at the first one."""

from edgewise.plot.edges import edge, edges
from edgewise.plot.history import history
from edgewise.plot.network import network
from edgewise.plot.results import pareto, predicted
from edgewise.plot.tree import tree

__all__ = ["edge", "edges", "history", "network", "pareto", "predicted", "tree"]
