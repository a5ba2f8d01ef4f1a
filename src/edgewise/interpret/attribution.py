"""How much each node and edge contributes to the outputs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from edgewise.errors import InputError
from edgewise.nn import Network, Trace

_SOFTENING = 1e-12


@dataclass(frozen=True)
class Attribution:
    """Scores without unit; an output's own score is 1.

    nodes[l]: (I_l,) for the nodes that enter layer l, and the outputs last. edges[l]: (O_l, I_l).
    inputs: nodes[0], the features' scores.
    """

    nodes: tuple[Tensor, ...]
    edges: tuple[Tensor, ...]

    @property
    def inputs(self) -> Tensor:
        return self.nodes[0]


@torch.no_grad()
def attribute(model: Network, trace: Trace) -> Attribution:
    """Scores of nodes and edges on the inputs of a trace.

    With A_oi = std(phi_oi) and sigma_o = std of the sum at o, backwards from S = 1 at the outputs:
    E_oi = S_o A_oi / sigma_o, S_i = sum_o E_oi; a factor of a product inherits the product's score,
    and several outputs are averaged. Edges that cancel each other score above 1.
    Reference: Liu et al., *KAN 2.0* (2024), section 4.1.
    """
    Y = trace.output.shape[1]
    S = torch.eye(Y, dtype=torch.float64, device=trace.output.device)  # (Y, nodes)
    nodes, edges = [S.mean(0)], []
    for l in reversed(range(len(model.layers))):
        E = _edge_scores(model, trace, l, S)
        S = E.sum(1)
        edges.append(E.mean(0))
        nodes.append(S.mean(0))
    return Attribution(tuple(reversed(nodes)), tuple(reversed(edges)))


@torch.no_grad()
def input_scores(model: Network, trace: Trace, level: int) -> Tensor:
    """How much each input contributes to each node of a level: (nodes, I), a node's own score 1."""
    if not 1 <= level <= len(model.layers):
        raise InputError(f"Level {level} was asked for; expected 1 to {len(model.layers)}.")
    S = torch.eye(
        model.nodes[level - 1].out_features, dtype=torch.float64, device=trace.output.device
    )
    for l in reversed(range(level)):
        S = _edge_scores(model, trace, l, S).sum(1)
    return S


def feature_interaction(
    model: Network, trace: Trace, level: int = 1, *, node_th: float = 1e-2, input_th: float = 1e-2
) -> dict[tuple[int, ...], float]:
    """Which inputs meet in one node of a level, and how much those nodes matter together.

    Sets of inputs that score at least ``input_th`` in a node, with the sum of those nodes' own
    scores (of ``attribute``), the largest first; nodes below ``node_th`` are left out.
    """
    scores = input_scores(model, trace, level)
    own = attribute(model, trace).nodes[level].tolist()
    found: dict[tuple[int, ...], float] = {}
    for node, score in enumerate(own):
        inputs = tuple((scores[node] >= input_th).nonzero()[:, 0].tolist())
        if score >= node_th and inputs:
            found[inputs] = found.get(inputs, 0.0) + score
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _edge_scores(model: Network, trace: Trace, l: int, S: Tensor) -> Tensor:
    """E (Y, O, I) of layer l from the scores S (Y, nodes) of the nodes behind it."""
    correction = int(trace.output.shape[0] > 1)
    A = trace.edges[l].double().std(0, correction=correction)
    sigma = trace.sums[l].double().std(0, correction=correction)
    S = S[:, model.nodes[l].owner]
    ratio = A / (sigma[:, None] + _SOFTENING * (A.sum(1, keepdim=True) + 1e-300))
    return S[:, :, None] * torch.where(A > 0, ratio, torch.zeros_like(A))
