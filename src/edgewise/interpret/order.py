"""The order of hidden nodes that makes a network's picture easy to follow."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from edgewise.interpret.attribution import Attribution
from edgewise.nn import Network
from edgewise.nn.order import permute

Kind = TypeVar("Kind", bound=Network)

# Relative gain in length below which a sweep over the levels is the last.
_GAIN = 1e-9
_SWEEPS = 50


def wiring_length(model: Network, scores: Attribution) -> float:
    """sum over edges of score times |x_i - x_o|, nodes of a level standing at (n + 1/2) / count.

    What `untangle` makes small. Reference: Liu et al., *KAN 2.0* (2024), section 4.1, after Z. Liu,
    E. Gan and M. Tegmark, *Seeing is believing: brain-inspired modular training* (2023).
    """
    return _length(_between_nodes(model, scores), [_even(count) for count in _counts(model)])


def untangle(model: Kind, scores: Attribution) -> Kind:
    """A new network with hidden nodes in an order that makes the wiring short.

    With the levels beside it held, the best order of a level is a linear assignment of nodes to
    places, solved exactly; levels take turns until no turn helps. Inputs and outputs stay. Two ways
    are tried, from the nodes' present order and from that of their inputs' mean places.
    """
    weights = _between_nodes(model, scores)
    counts = _counts(model)
    given = [_even(count) for count in counts]
    # places by what enters: a second start, since turns end at the nearest order that no turn betters
    sorted_by_inputs = [given[0]]
    for l, E in enumerate(weights[:-1]):
        mean = (E @ sorted_by_inputs[l]) / E.sum(1).clamp_min(1e-300)
        sorted_by_inputs.append(_ranked(model, l, mean, given[l + 1]))
    sorted_by_inputs.append(given[-1])
    tried = [_take_turns(model, weights, given, start) for start in (given, sorted_by_inputs)]
    best = min(tried, key=lambda places: _length(weights, places))
    if _length(weights, best) >= _length(weights, given) * (1 - _GAIN):
        best = given
    for level in range(1, len(model.layers)):
        order = best[level].argsort().tolist()
        if order != sorted(order):
            model = permute(model, level, order)
    return model.clone() if best is given else model


def _take_turns(
    model: Network, weights: list[Tensor], given: list[Tensor], start: list[Tensor]
) -> list[Tensor]:
    """Places (nodes,) a level after exact turns of all hidden levels, up and down."""
    from scipy.optimize import linear_sum_assignment

    places, length = list(start), _length(weights, start)
    hidden = list(range(1, len(places) - 1))
    for _ in range(_SWEEPS):
        for level in [*hidden, *reversed(hidden)]:
            slots = given[level]
            cost = (
                weights[level - 1] @ (places[level - 1][:, None] - slots).abs()
                + weights[level].T @ (places[level + 1][:, None] - slots).abs()
            )
            split = model.nodes[level - 1].n_sum
            chosen = torch.empty_like(slots)
            for part in (slice(0, split), slice(split, len(slots))):
                rows, columns = linear_sum_assignment(cost[part, part].numpy())
                chosen[part][torch.from_numpy(rows)] = slots[part][torch.from_numpy(columns)]
            places[level] = chosen
        shorter = _length(weights, places)
        if shorter >= length * (1 - _GAIN):
            break
        length = shorter
    return places


def _ranked(model: Network, l: int, mean: Tensor, slots: Tensor) -> Tensor:
    """The slots handed out by rising mean, sums and products apart."""
    split = model.nodes[l].n_sum
    places = torch.empty_like(slots)
    for part in (slice(0, split), slice(split, len(slots))):
        places[part] = slots[part][mean[part].argsort(stable=True).argsort()]
    return places


def _between_nodes(model: Network, scores: Attribution) -> list[Tensor]:
    """Scores (nodes above, nodes below) a layer: those of a product's factors added up."""
    added = []
    for E, nodes in zip(scores.edges, model.nodes, strict=True):
        owner = torch.tensor(nodes.owner)
        empty = torch.zeros(nodes.out_features, E.shape[1], dtype=torch.float64)
        added.append(empty.index_add(0, owner, E.double().cpu()))
    return added


def _length(weights: list[Tensor], places: list[Tensor]) -> float:
    return float(sum((E * _spans(places, l)).sum() for l, E in enumerate(weights)))


def _spans(places: list[Tensor], l: int) -> Tensor:
    """|x_o - x_i| (nodes above, nodes below) of layer l."""
    return (places[l + 1][:, None] - places[l]).abs()


def _counts(model: Network) -> list[int]:
    return [sum(pair) for pair in model.width]


def _even(count: int) -> Tensor:
    return (torch.arange(count, dtype=torch.float64) + 0.5) / count
