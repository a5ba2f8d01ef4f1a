"""Exact statistics of edges from moments of the features, without a (B, I, O) tensor.

An edge is phi = c . f(x) with f = (B_1..B_K, b), so Var[phi] = c' V c with V = Cov[f] of its input:
one (K+1, K+1) matrix an input serves all outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgewise.nn.layer import KANLayer


def feature_covariance(features: Tensor) -> Tensor:
    """Cov of the features (B, I, F) over samples, in float64: (I, F, F).

    Centred before squaring: E[f f'] - E[f]E[f]' loses all digits of small variances.
    """
    f = features.double()
    f = (f - f.mean(0)).transpose(0, 1)
    return f.mT @ f / max(features.shape[0] - 1, 1)


def edge_variance(layer: KANLayer, x: Tensor) -> Tensor:
    """Var over the samples x (B, I) of every edge: (O, I) float64; differentiable."""
    features = layer.features(x)
    V = feature_covariance(features)
    w = layer.weights().double()
    variance = torch.einsum("oif,ifg,oig->oi", w, V, w)
    for o, i, values in layer.symbolic_values(x):
        # an edge may carry a spline too: their sum's own samples count
        both = values.double() + torch.einsum("bef,ef->be", features.double()[:, i], w[o, i])
        variance = variance.index_put((o, i), both.var(0, correction=int(len(x) > 1)))
    return variance


def edge_std(layer: KANLayer, x: Tensor, eps: float = 1e-12) -> Tensor:
    """sqrt(Var + eps^2): (O, I) float64, with a finite gradient where an edge is flat."""
    return (edge_variance(layer, x).clamp_min(0.0) + eps * eps).sqrt()
