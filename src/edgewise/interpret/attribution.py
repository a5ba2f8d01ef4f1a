"""How much each node and edge contributes to the outputs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

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
        correction = int(trace.output.shape[0] > 1)
        A = trace.edges[l].double().std(0, correction=correction)
        sigma = trace.sums[l].double().std(0, correction=correction)
        S = S[:, model.nodes[l].owner]
        ratio = A / (sigma[:, None] + _SOFTENING * (A.sum(1, keepdim=True) + 1e-300))
        E = S[:, :, None] * torch.where(A > 0, ratio, torch.zeros_like(A))
        S = E.sum(1)
        edges.append(E.mean(0))
        nodes.append(S.mean(0))
    return Attribution(tuple(reversed(nodes)), tuple(reversed(edges)))
