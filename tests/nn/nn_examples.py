"""Small stand-ins and networks for the tests of nn."""

from dataclasses import dataclass

import torch

from edgewise.bases import BSpline
from edgewise.nn import KANLayer, Network


@dataclass(frozen=True)
class Sine:
    name: str = "sin"

    def torch(self, u):
        return torch.sin(u)

    def derivative(self, u):
        return torch.cos(u)


@dataclass(frozen=True)
class Square:
    name: str = "x^2"

    def torch(self, u):
        return u * u

    def derivative(self, u):
        return 2 * u


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def layer_of_all_kinds(base="silu", grid_eps=0.5):
    """3 -> 4 with scaled splines, a masked edge, and symbolic edges of two functions."""
    basis = BSpline(4, 3, grid_eps=grid_eps)
    layer = KANLayer(3, 4, basis, base=base, generator=generator(), dtype=torch.float64)
    tensors = basis.adapt(normal(50, 3, seed=3), layer.basis_tensors)
    layer.set_basis(basis, tensors, normal(*layer.coef.shape, seed=2))
    with torch.no_grad():
        layer.scale_spline.uniform_(0.5, 2.0, generator=generator(5))
    layer.mask[1, 2] = 0.0
    layer.fix_symbolic(0, 1, Sine(), (1.5, 0.2, -0.7, 0.3))
    layer.fix_symbolic(3, 2, Square(), (0.8, -0.1, 0.4, 0.0))
    layer.fix_symbolic(2, 0, Sine(), (-0.6, 1.0, 1.1, -2.0))
    return layer


def network_of_all_kinds(affine_trainable=True):
    """2 -> [2, 2 products] -> [1, 1 product] with symbols, a dead edge and affine maps."""
    network = Network(
        [2, [2, 2], [1, 1]],
        BSpline(3, 3),
        mult_arity=[[], [2, 3], [2]],
        noise=0.5,
        affine_trainable=affine_trainable,
        generator=generator(),
        dtype=torch.float64,
    )
    for nodes in network.nodes:
        for seed, parameter in enumerate(nodes.parameters()):
            with torch.no_grad():
                parameter.add_(0.3 * normal(*parameter.shape, seed=seed))
    network.layers[0].fix_symbolic(1, 0, Sine(), (1.2, 0.3, 0.9, -0.1))
    network.layers[1].fix_symbolic(0, 3, Square(), (0.7, 0.2, -0.4, 0.5))
    network.layers[0].mask[4, 1] = 0.0
    network.layers[1].scale_spline.data.mul_(1.3)
    return network
