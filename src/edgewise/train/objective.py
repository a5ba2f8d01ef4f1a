"""What a fit makes small: a loss on samples, with the curvature that second-order solvers need."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from edgewise.errors import InputError
from edgewise.nn import Network
from edgewise.nn.jacobian import Layout, pull_back, run, unpack
from edgewise.optim.symmetric import add_gram, mirror
from edgewise.problems.dataset import Samples
from edgewise.train.losses import CallableLoss, CrossEntropy, Loss
from edgewise.train.penalties import EdgeNorms, EdgeSparsity, edge_norms
from edgewise.train.smoothness import make_prior

# Rows of the Jacobian are made in blocks of at most this many numbers (8 MiB in float64).
_BLOCK = 1 << 20
# Weight of the prior of smoothness, in samples.
PRIOR = 4.0


@dataclass(frozen=True)
class Objective:
    """loss(model(x), t) + penalty(model, x)."""

    loss: Loss
    penalty: EdgeSparsity | None = None

    def data_term(self, model: Network, data: Samples) -> Tensor:
        return self.loss(model(data.x), data.y, shares(data))

    def penalty_term(self, model: Network, data: Samples) -> float:
        return 0.0 if self.penalty is None else float(self.penalty(model, data.x))

    def __call__(self, model: Network, data: Samples) -> Tensor:
        """The whole objective: differentiable scalar."""
        value = self.data_term(model, data)
        return value if self.penalty is None else value + self.penalty(model, data.x)


def shares(data: Samples) -> Tensor:
    """Weights that sum to one: (B,)."""
    if data.weight is None:
        return data.x.new_full((len(data),), 1.0 / max(len(data), 1))
    return data.weight / data.weight.sum()


def effective_count(data: Samples) -> float:
    """(sum w)^2 / sum w^2 (L. Kish, *Survey Sampling*, 1965): N for equal weights of any size."""
    share = shares(data)
    return float(1.0 / share.square().sum().clamp_min(1e-300))


class SecondOrder:
    """An objective as Levenberg-Marquardt wants it: functions of the vector theta.

    ``linearise`` fixes the penalty's norms at theta (the inputs of each layer held), ``value`` uses
    the norms of the last linearisation, so that both speak of the same function.

    A prior of smoothness, worth ``prior`` samples a curve, holds the coefficients that few samples see
    through tiny basis values, as at the ends of a range, and vanishes with the loss: see ``smoothness``.
    Cross-entropy falls for ever where curves tell all rows' classes, larger scores are always better:
    there the prior stays, and holds the size of each edge's terms too.
    """

    def __init__(
        self,
        model: Network,
        at: Layout,
        objective: Objective,
        data: Samples,
        prior: float = PRIOR,
    ) -> None:
        self.model, self.at, self.objective, self.data = model, at, objective, data
        self._norms: list[EdgeNorms] = []
        # the parts of the objective at the last linearisation
        self.data_loss, self.penalty_value = math.inf, 0.0
        weight, ridge = prior / effective_count(data), isinstance(objective.loss, CrossEntropy)
        factory: dict[str, Any] = {"dtype": data.x.dtype, "device": data.x.device}
        self._priors = [
            make_prior(layer, own.splines[1], weight, ridge, **factory) if prior else None
            for layer, own in zip(model.layers, at.layers, strict=True)
        ]
        # where each layer's weights (E, F) stand in theta, and F
        self._places = [
            (slice(own.start, own.start + len(own.splines[0]) * F), F)
            for own, F in zip(at.layers, (l.basis.size + 1 for l in model.layers), strict=True)
        ]

    @torch.no_grad()
    def value(self, theta: Tensor) -> float:
        unpack(self.model, self.at, theta)
        total = float(self.objective.data_term(self.model, self.data)) + self._smoothness(theta)
        for norms, block in zip(self._norms, self._blocks(theta), strict=False):
            total += norms.value(block)
        return total

    @torch.no_grad()
    def linearise(self, theta: Tensor) -> tuple[float, Tensor, Tensor]:
        unpack(self.model, self.at, theta)
        data, P, Y = self.data, self.at.size, self.model.nodes[-1].out_features
        share, total = shares(data), 0.0
        loss = self.objective.loss
        if isinstance(loss, CallableLoss):
            raise InputError(f"The curvature of {loss.name!r} is not known; use LBFGS or Adam.")
        # [A J, r]: one symmetric product makes (AJ)'(AJ) and, in the last column, (AJ)'r
        products = theta.new_zeros(P + 1, P + 1)
        rows = max(1, _BLOCK // ((P + 1) * Y))
        for x, t, w in zip(data.x.split(rows), data.y.split(rows), share.split(rows), strict=True):
            y, passes = run(self.model, self.at, x)
            total += float(loss(y, t, w))
            r, A = loss.residual(y, t, w)
            J = theta.new_empty(len(x), Y, P + 1)
            pull_back(self.model, self.at, passes, A, J[..., :P])
            J[..., P] = r
            add_gram(products, J.flatten(0, 1))
        mirror(products)
        H, g = products[:P, :P], products[:P, P].contiguous()
        self.data_loss = total
        blocks = self._blocks(theta)
        for prior, block, (where, _) in zip(self._priors, blocks, self._places, strict=True):
            if prior is not None:
                prior.fix(block, self.data_loss)
                total += prior.value(block)
                _add_edges(H[where, where], g[where], *prior.curvature(block))
        self._norms, self.penalty_value = self._make_norms(), 0.0
        for norms, block, (where, _) in zip(self._norms, blocks, self._places, strict=False):
            self.penalty_value += norms.value(block)
            _add_edges(H[where, where], g[where], *norms.curvature(block))
        return total + self.penalty_value, H, g

    def _smoothness(self, theta: Tensor) -> float:
        if not math.isfinite(self.data_loss):  # before the first linearisation
            return 0.0
        pairs = zip(self._priors, self._blocks(theta), strict=True)
        return sum(prior.value(block) for prior, block in pairs if prior is not None)

    def _make_norms(self) -> list[EdgeNorms]:
        penalty = self.objective.penalty
        if penalty is None or penalty.strength * penalty.l1 == 0:
            return []
        norms, x = [], self.data.x
        strength = penalty.strength * penalty.l1
        for l, (layer, nodes) in enumerate(zip(self.model.layers, self.model.nodes, strict=True)):
            norms.append(edge_norms(layer, l, self.at.layers[l].splines, x, strength))
            x = nodes(layer(x))
        return norms

    def _blocks(self, theta: Tensor) -> list[Tensor]:
        return [theta[where].view(-1, F) for where, F in self._places]


def _add_edges(H: Tensor, g: Tensor, curvature: Tensor, slope: Tensor) -> None:
    """Add a function of each edge's own weights to a layer's part of H (E F, E F) and g (E F,),
    in place: curvature (E, F, F), or (F, F) for all edges, and slope (E, F)."""
    E, F = slope.shape
    edges = torch.arange(E, device=g.device)
    H.view(E, F, E, F)[edges, :, edges, :] += curvature
    g += slope.flatten()
