"""What a fit makes small: a loss on samples, with the curvature that second-order solvers need."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from edgewise.bases import BSpline
from edgewise.errors import InputError
from edgewise.nn import KANLayer, Network
from edgewise.nn.jacobian import Layout, pull_back, run, unpack
from edgewise.nn.starts import moments
from edgewise.optim.symmetric import add_gram, mirror
from edgewise.problems.dataset import Samples
from edgewise.train.losses import CallableLoss, CrossEntropy, Loss
from edgewise.train.penalties import EdgeNorms, EdgeSparsity, edge_norms

# Rows of the Jacobian are made in blocks of at most this many numbers (8 MiB in float64).
_BLOCK = 1 << 20
# Weight of the prior of smoothness, in samples; see SecondOrder.
PRIOR = 4.0
# With PRIOR, half the mean square of each term of an edge, over N: as if it were N(0, 1).
_RIDGE = 1 / 8
# The roughness of a function over its mean square and the number of functions, at most.
_ROUGHEST = 64.0


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

    A prior of smoothness, ``prior``/N of the current loss times c' R c with the basis's roughness
    R (for splines: differences of order degree + 1, squared, over 4; for other families as large at
    most), weighs about as much as a handful of samples. It holds the coefficients at the ends of a
    range, which few samples see through tiny basis values, and vanishes with the loss.

    Cross-entropy falls for ever where curves tell all rows' classes: larger scores are always better.
    There the prior is ``prior``/N times c' R c + the mean squares of each edge's terms over 8.
    """

    def __init__(
        self,
        model: Network,
        at: Layout,
        objective: Objective,
        data: Samples,
        prior: float = PRIOR,
    ) -> None:
        self.prior = prior / effective_count(data)
        self.model, self.at, self.objective, self.data = model, at, objective, data
        self._norms: list[EdgeNorms] = []
        self._prior = 0.0
        # the parts of the objective at the last linearisation
        self.data_loss, self.penalty_value = math.inf, 0.0
        factory: dict[str, Any] = {"dtype": data.x.dtype, "device": data.x.device}
        self._roughness = [
            _roughness(layer, own.splines[1]).to(**factory)
            for layer, own in zip(model.layers, at.layers, strict=True)
        ]
        self._ridge = (
            [_mean_squares(layer).to(**factory) for layer in model.layers]
            if isinstance(objective.loss, CrossEntropy)
            else []
        )
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
        self._prior = self.prior * (1.0 if self._ridge else total)
        total += self._smoothness(theta)
        blocks = self._blocks(theta)
        for R, block, (where, _) in zip(self._roughness, blocks, self._places, strict=True):
            factor = 2 * self._prior  # the residual branch, the last feature, is smooth already
            slope = functional.pad(factor * _bent(block, R), (0, 1))
            _add_edges(H[where, where], g[where], functional.pad(factor * R, (0, 1, 0, 1)), slope)
        for size, block, (where, _) in zip(self._ridge, blocks, self._places, strict=False):
            size = 2 * self._prior * _RIDGE * size
            _add_edges(H[where, where], g[where], torch.diag(size), size * block)
        self._norms, self.penalty_value = self._make_norms(), 0.0
        for norms, block, (where, _) in zip(self._norms, blocks, self._places, strict=False):
            self.penalty_value += norms.value(block)
            _add_edges(H[where, where], g[where], *norms.curvature(block))
        return total + self.penalty_value, H, g

    def _smoothness(self, theta: Tensor) -> float:
        blocks = self._blocks(theta)
        rough = sum(
            float((_bent(block, R) * block[:, :-1]).sum())
            for R, block in zip(self._roughness, blocks, strict=True)
        )
        large = sum(
            float((size * block.square()).sum())
            for size, block in zip(self._ridge, blocks, strict=False)
        )
        return self._prior * (rough + _RIDGE * large)

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


def _bent(block: Tensor, R: Tensor) -> Tensor:
    """R c for the coefficients c of each row of weights (E, K+1); R (K, K) or one a row."""
    c = block[:, :-1]
    return c @ R if R.ndim == 2 else (c[:, None] @ R)[:, 0]


def _roughness(layer: KANLayer, inputs: Tensor) -> Tensor:
    """R (K, K) of the layer's basis, in the splines' unit; (E, K, K), one for the input of each of E
    edges, where the functions have trained shapes.

    A spline has R_kk / m0_k of 64 K at most, m0_k the mean of B_k^2. For polynomials it grows with a
    high power of the degree, and no data could speak against it: R is scaled down to 64 K.
    """
    if layer.shapes:
        return layer.basis.roughness_of(layer.basis_tensors)[inputs]
    R = layer.basis.roughness(dtype=torch.float64, device=layer.coef.device)
    if isinstance(layer.basis, BSpline) or not layer.in_features:
        return R
    steepest = float((R.diagonal() / moments(layer).values.mean(0).clamp_min(1e-300)).max())
    return R * min(1.0, _ROUGHEST * layer.basis.size / max(steepest, 1e-300))


def _mean_squares(layer: KANLayer) -> Tensor:
    """Mean squares over the range of each function and of the residual, (K+1,), averaged over inputs."""
    of = moments(layer)
    return torch.cat([of.values, of.base[:, None]], dim=1).mean(0)


def _add_edges(H: Tensor, g: Tensor, curvature: Tensor, slope: Tensor) -> None:
    """Add a function of each edge's own weights to a layer's part of H (E F, E F) and g (E F,),
    in place: curvature (E, F, F), or (F, F) for all edges, and slope (E, F)."""
    E, F = slope.shape
    edges = torch.arange(E, device=g.device)
    H.view(E, F, E, F)[edges, :, edges, :] += curvature
    g += slope.flatten()
