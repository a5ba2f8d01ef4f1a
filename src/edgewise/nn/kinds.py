"""A network's layers and nodes as a model of another class."""

from __future__ import annotations

from typing import TypeVar, cast

from edgewise.nn.network import Network

Kind = TypeVar("Kind", bound=Network)


def as_kind(network: Network, kind: type[Kind]) -> Kind:
    """A model of class ``kind`` that holds the network's own layers and nodes (nothing is copied).

    kind: a class that takes Network's arguments width, mult_arity, input_names, output_names and
    dtype by name, as ``edgewise.KAN`` does; whatever else it keeps starts as its defaults.
    """
    if type(network) is kind:
        return cast(Kind, network)
    model = kind(
        network.width,
        mult_arity=network.mult_arity,
        input_names=network.input_names,
        output_names=network.output_names,
        dtype=network.dtype,
    )
    model.layers, model.nodes = network.layers, network.nodes
    return model
