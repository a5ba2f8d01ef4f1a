"""What a fit makes small: a loss on samples, with the curvature that second-order solvers need."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from edgewise.errors import InputError
from edgewise.nn import Network
from edgewise.nn.jacobian import Layout, pull_back, run, unpack
from edgewise.optim.symmetric import add_gram, mirror
from edgewise.problems.dataset import Samples
from edgewise.train.penalties import EdgeNorms, EdgeSparsity, edge_norms

# Rows of the Jacobian are made in blocks of at most this many numbers (8 MiB in float64).
_BLOCK = 1 << 20
# Weight of the prior of smoothness, in samples; see SecondOrder.
PRIOR = 4.0


class MeanSquare:
    """Weighted mean over samples and outputs of (y - t)^2; shown as its root."""

    name = "rmse"
    second_order = True

    def __call__(self, y: Tensor, t: Tensor, share: Tensor) -> Tensor:
        return (share[:, None] * (y - t).square()).sum() / y.shape[1]

    def residual(self, y: Tensor, t: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        """r (B, Y) and A (B, Y, Y) with gradient A'r and curvature A'A in the outputs."""
        root = ((2.0 / y.shape[1]) * share[:, None]).sqrt().expand_as(y)
        return root * (y - t), torch.diag_embed(root)

    def shown(self, value: float) -> float:
        return math.sqrt(max(value, 0.0))


class CrossEntropy:
    """Softmax cross-entropy of outputs (B, Y) as scores; targets (B, Y) are class probabilities."""

    name = "cross_entropy"
    second_order = True

    def __call__(self, y: Tensor, t: Tensor, share: Tensor) -> Tensor:
        return -(share[:, None] * t * functional.log_softmax(y, dim=1)).sum()

    def residual(self, y: Tensor, t: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        """r (B, Y) and A (B, Y, Y) with gradient A'r and curvature A'A = diag(p) - p p', for p = softmax
        y: generalised Gauss-Newton. A = diag(sqrt p) - sqrt(p) p', and A'(p - t) / sqrt(p) = p - t."""
        # a class of no weight would divide 0 by 0
        p = y.softmax(dim=1).clamp_min(torch.finfo(y.dtype).tiny)
        root, size = p.sqrt(), share[:, None].sqrt()
        A = torch.diag_embed(root) - root[:, :, None] * p[:, None, :]
        return size * (p - t) / root, size[..., None] * A

    def shown(self, value: float) -> float:
        return value


class CallableLoss:
    """loss(y, t) -> scalar, as torch's loss functions; known only by its gradient."""

    second_order = False

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.function = function
        self.name = getattr(function, "__name__", type(function).__name__)

    def __call__(self, y: Tensor, t: Tensor, share: Tensor) -> Tensor:
        return self.function(y, t)

    def shown(self, value: float) -> float:
        return value


Loss = MeanSquare | CrossEntropy | CallableLoss


def make_loss(loss: str | Loss | Callable[[Tensor, Tensor], Tensor] | None) -> Loss:
    """A loss from its name ("mse", "cross_entropy"), a callable, or None for the mean square."""
    if loss is None or loss == "mse":
        return MeanSquare()
    if loss == "cross_entropy":
        return CrossEntropy()
    if isinstance(loss, MeanSquare | CrossEntropy | CallableLoss):
        return loss
    if callable(loss):
        return CallableLoss(loss)
    raise InputError(
        f"loss is {loss!r}; expected 'mse', 'cross_entropy' or a callable (y, target)."
    )


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
    R (for splines: differences of order degree + 1, squared, over 4), weighs about as much as a
    handful of samples. It holds the coefficients at the ends of a range, which few samples see
    through tiny basis values, and vanishes with the loss.
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
        factory = {"dtype": data.x.dtype, "device": data.x.device}
        self._roughness = [layer.basis.roughness(**factory) for layer in model.layers]
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
        self._prior = self.prior * total
        total += self._smoothness(theta)
        blocks = self._blocks(theta)
        for R, block, (where, _) in zip(self._roughness, blocks, self._places, strict=True):
            factor = 2 * self._prior  # the residual branch, the last feature, is smooth already
            slope = functional.pad(factor * block[:, :-1] @ R, (0, 1))
            _add_edges(H[where, where], g[where], functional.pad(factor * R, (0, 1, 0, 1)), slope)
        self._norms, self.penalty_value = self._make_norms(), 0.0
        for norms, block, (where, _) in zip(self._norms, blocks, self._places, strict=False):
            self.penalty_value += norms.value(block)
            _add_edges(H[where, where], g[where], *norms.curvature(block))
        return total + self.penalty_value, H, g

    def _smoothness(self, theta: Tensor) -> float:
        return self._prior * sum(
            float((block[:, :-1] @ R * block[:, :-1]).sum())
            for R, block in zip(self._roughness, self._blocks(theta), strict=True)
        )

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
