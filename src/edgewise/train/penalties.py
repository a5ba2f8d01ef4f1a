"""What makes a network sparse: penalties on the exact standard deviations of its edges.

With v_oi = std(phi_oi) / (std(x_i) + 0.01) over the training inputs of layer l > 0, and
v_oi = std(phi_oi) in the first layer (so that the unit of an input does not matter),

    R = sum_l [ l1 sum v + entropy (H_row + H_col) + coef sum |c| / O + coefdiff sum |diff c| / O ]

as in Liu et al., *KAN* (2024), eq. 2.17-2.20, in the normalised form of *KAN 2.0*. Dividing by
the input's spread makes a hidden node that shrinks its values pay for the steeper curve behind it;
pykan softens by 0.1, which lets nodes of tiny values carry a function almost for free.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from edgewise.errors import InputError
from edgewise.nn import KANLayer, Network
from edgewise.nn.edges import edge_std, feature_covariance

_INPUT_SOFTENING = 1e-2


@dataclass(frozen=True)
class EdgeSparsity:
    """strength * R, added to the loss in units of the target's variance.

    strength: pykan's ``lamb``; l1, entropy, coef, coefdiff: the weights of the parts of R.
    First-order solvers take the gradient of all of R, through the activations too. In second-order
    ones the part l1 is majorised by a quadratic form (``EdgeNorms``), the others are left out.
    """

    strength: float
    l1: float = 1.0
    entropy: float = 2.0
    coef: float = 0.0
    coefdiff: float = 0.0

    def __post_init__(self) -> None:
        for name in ("strength", "l1", "entropy", "coef", "coefdiff"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name} is {getattr(self, name)!r}; expected a number >= 0.")

    def __call__(self, model: Network, x: Tensor) -> Tensor:
        """strength * R on inputs x (B, I)."""
        total = x.new_zeros((), dtype=torch.float64)
        for l, (layer, nodes) in enumerate(zip(model.layers, model.nodes, strict=True)):
            total = total + self._layer(layer, x, l)
            x = nodes(layer(x))
        return self.strength * total

    def _layer(self, layer: KANLayer, x: Tensor, l: int) -> Tensor:
        v = (edge_std(layer, x) / input_scale(x, l)) * layer.live
        R = self.l1 * v.sum()
        if self.entropy:
            R = R + self.entropy * (_entropy(v, 0) + _entropy(v, 1))
        if self.coef or self.coefdiff:
            c = layer.coef.double() * layer.mask[..., None]
            R = R + self.coef * c.abs().sum() / layer.out_features
            R = R + self.coefdiff * c.diff(dim=-1).abs().sum() / layer.out_features
        return R


def input_scale(x: Tensor, l: int) -> Tensor:
    """What the edges of layer l with inputs x (B, I) are measured in: (I,) float64."""
    if l == 0:
        return x.new_ones(x.shape[1], dtype=torch.float64)
    return x.double().std(0, correction=int(len(x) > 1)) + _INPUT_SOFTENING


def _entropy(v: Tensor, dim: int) -> Tensor:
    """Mean over the other dimension of -sum p log2 p, p = v / (sum v + 1)."""
    p = v / (v.sum(dim, keepdim=True) + 1.0)
    return -(p * torch.log2(p + 1e-4)).sum(dim).mean()


@dataclass(frozen=True)
class EdgeNorms:
    """The l1 part of a layer as norms of the weights w of its edges, inputs held.

    v_e = sqrt(w' V_e w) for each spline edge e: V (E, F, F) float64 with the input's scale and w_s
    taken in. The penalty is strength * sum_e h(v_e), h(v) = v above ``floor`` and quadratic below.
    """

    V: Tensor
    strength: float
    floor: float = 1e-4

    def value(self, w: Tensor) -> float:
        """The penalty at weights w (E, F)."""
        v = self._norms(w)
        small = v * v / (2 * self.floor) + self.floor / 2
        return self.strength * float(torch.where(v > self.floor, v, small).sum())

    def curvature(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Majoriser at w: lambda v^2 / (2 v_old): its Hessian (E, F, F) and gradient (E, F)."""
        H = self.V * (self.strength / self._norms(w).clamp_min(self.floor))[:, None, None]
        return H, torch.einsum("efg,eg->ef", H, w)

    def _norms(self, w: Tensor) -> Tensor:
        return torch.einsum("ef,efg,eg->e", w, self.V, w).clamp_min(0.0).sqrt()


def edge_norms(
    layer: KANLayer, l: int, edges: tuple[Tensor, Tensor], x: Tensor, strength: float
) -> EdgeNorms:
    """The norms of the given spline edges of layer l on its inputs x (B, I)."""
    o, i = edges
    features = layer.features(x)
    V = feature_covariance(features) / input_scale(x, l)[:, None, None] ** 2
    scale = torch.ones(len(o), features.shape[-1], dtype=torch.float64, device=x.device)
    scale[:, :-1] = layer.scale_spline[o, i].detach().double()[:, None]
    return EdgeNorms(V[i] * scale[:, :, None] * scale[:, None, :], strength)
