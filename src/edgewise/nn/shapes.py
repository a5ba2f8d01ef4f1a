"""The Jacobian's columns for the shapes of a basis's functions: scales, shifts, denominators.

With S_bo = dy_b/du_bo at a sum of a layer and w_oik the weight of B_k on edge (o, i), the derivative
with respect to a number s_ip that shapes the functions of input i is
sum_k (sum_o S_bo w_oik) dB_k(x_bi)/ds_ip: one (K,) row a sample and input serves every output.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from edgewise.bases import Basis
from edgewise.nn.layer import KANLayer

if TYPE_CHECKING:
    from edgewise.nn.jacobian import Layout
    from edgewise.nn.network import Network

# Shapes are measured in units of the range: a step of Levenberg-Marquardt moves them no further.
_REACH = 0.5


def shape_slopes(
    basis: Basis, x: Tensor, tensors: dict[str, Tensor], name: str
) -> Iterator[Tensor]:
    """dB_k(x_i)/ds_ip for p = 0, 1, ..: x (B, I) -> (B, I, K) each, s = tensors[name] (I, P).

    The functions of an input depend on its own row only, so that one directional derivative serves
    all inputs. It is the gradient of v -> v dB/ds, which is linear in v (B, I, K): two ways back are
    one way forward.
    """
    with torch.enable_grad():
        s = tensors[name].detach().clone().requires_grad_()
        features = basis.features(x, {**tensors, name: s})
        v = torch.zeros_like(features, requires_grad=True)
        (pulled,) = torch.autograd.grad(features, s, v, create_graph=True)
        for p in range(s.shape[1]):
            yield torch.autograd.grad(pulled[:, p].sum(), v, retain_graph=True)[0]


def fill_shape_columns(layer: KANLayer, inputs: Tensor, x: Tensor, S: Tensor, J: Tensor) -> None:
    """Fill the first columns of J (B, R, ..) with those of the layer's shapes at the inputs (I',).

    x (B, I), S (B, R, O): sensitivities to the layer's sums. Order: a shape, an input, a number.
    """
    shapes = layer.shapes
    if not shapes or not len(inputs):
        return
    x = x[:, inputs]
    tensors = {name: tensor.detach()[inputs] for name, tensor in layer.basis_tensors.items()}
    weights = (layer.coef * (layer.scale_spline * layer.mask)[..., None])[:, inputs]
    pulled = (S @ weights.flatten(1)).unflatten(-1, weights.shape[1:])  # (B, R, I', K)
    start = 0
    for name, shape in shapes.items():
        P = shape.shape[1]
        block = J[:, :, start : start + len(inputs) * P].unflatten(-1, (len(inputs), P))
        for p, slopes in enumerate(shape_slopes(layer.basis, x, tensors, name)):
            block[..., p] = (pulled * slopes[:, None]).sum(-1)
        start += len(inputs) * P


def reach(model: Network, at: Layout) -> Tensor | None:
    """How far one linearisation of the model holds, parameter by parameter (P,); None: no limit.

    Coefficients enter linearly; a shape's columns are as small as the coefficients of its functions,
    and a step that only these columns bounded would throw the functions off the range.
    """
    if not any(layer.shapes for layer in model.layers):
        return None
    limits = torch.full((at.size,), torch.inf, dtype=model.dtype, device=model.device)
    for layer, own in zip(model.layers, at.layers, strict=True):
        start = own.start + len(own.splines[0]) * (layer.basis.size + 1) + 4 * len(own.symbols[0])
        count = len(own.shaped) * sum(shape.shape[1] for shape in layer.shapes.values())
        limits[start : start + count] = _REACH
    return limits
