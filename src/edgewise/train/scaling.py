"""Targets of about unit size for the solvers, and the way back to the user's units."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from edgewise.errors import DataError, FitError, InputError, ShapeError
from edgewise.nn import KANLayer, Network, Nodes
from edgewise.problems.dataset import Dataset, Samples
from edgewise.train.losses import CallableLoss, CrossEntropy, Loss, MeanSquare
from edgewise.train.objective import shares


@dataclass(frozen=True)
class Scaling:
    """y = factor * (standardised y) + offset, (O,) each; the identity but for the mean square."""

    factor: Tensor
    offset: Tensor

    @classmethod
    def of(cls, train: Samples, loss: Loss) -> Scaling:
        """From the weighted mean and spread of the targets."""
        y, share = train.y, shares(train)[:, None]
        if not isinstance(loss, MeanSquare):
            return cls(torch.ones_like(y[0]), torch.zeros_like(y[0]))
        offset = (share * y).sum(0)
        deviation = y - offset
        most = deviation.abs().amax(0)
        # a constant target leaves rounding only, which is no scale
        constant = most <= 16 * torch.finfo(y.dtype).eps * offset.abs()
        most = torch.where(constant | (most == 0), torch.ones_like(most), most)
        spread = most * (share * (deviation / most).square()).sum(0).sqrt()
        factor = torch.where(constant | (spread == 0), torch.ones_like(spread), spread)
        if y.shape[1] > 1:  # one for all outputs, so that the mean square weighs them as given
            varying = factor[~constant] if bool((~constant).any()) else factor
            largest = varying.max()
            factor = (largest * (varying / largest).square().mean().sqrt()).expand_as(factor)
        if not bool(torch.isfinite(factor).all() & torch.isfinite(1 / factor).all()):
            raise FitError(
                f"The targets' spread {float(factor.max()):.3g} is beyond {y.dtype}. Scale the "
                "target to about unit size."
            )
        return cls(factor.clone(), offset)

    @property
    def unit(self) -> float:
        """What one unit of error is worth to the user."""
        return float(self.factor[0])

    def samples(self, samples: Samples) -> Samples:
        """The samples with standardised targets."""
        return Samples(samples.x, (samples.y - self.offset) / self.factor, samples.weight)

    @torch.no_grad()
    def entered(self, model: Network, train: Samples) -> Network:
        """A copy that predicts standardised targets.

        A start further from the targets than their mean knows nothing of them, not even their
        unit: its outputs are then read as standardised, if that is nearer. Symbolic edges mean
        their constants, so a network that has some is always taken at its word.
        """
        copy = model.clone()
        rescale(copy, 1.0 / self.factor, -self.offset / self.factor)
        if any(bool((layer.symbolic_code != 0).any()) for layer in model.layers):
            return copy
        t, share, loss = self.samples(train).y, shares(train), MeanSquare()
        far, near = (float(loss(start(train.x), t, share)) for start in (copy, model))
        unread = not far <= 1.0 and near < far if math.isfinite(far) else math.isfinite(near)
        return model.clone() if unread and self.standardises else copy

    @property
    def standardises(self) -> bool:
        return bool((self.factor != 1).any() | (self.offset != 0).any())

    def leave(self, model: Network) -> None:
        """From standardised targets to the user's units, in place."""
        rescale(model, self.factor, self.offset)

    def shown(self, model: Network) -> Network:
        """A copy of a model that predicts standardised targets, in the user's units."""
        copy = model.clone()
        self.leave(copy)
        return copy


def like(model: Network, samples: Samples) -> Samples:
    """The samples in the model's dtype and on its device, without rows of weight 0."""
    moved = samples.to(model.device, model.dtype)
    if not bool(torch.isfinite(moved.x).all() & torch.isfinite(moved.y).all()):
        raise FitError(f"Some values are beyond {model.dtype}. Scale the data to about unit size.")
    if samples.weight is None:
        return moved
    return moved.rows((samples.weight > 0).to(model.device))


def check_fit(model: Network, data: Dataset, loss: Loss) -> None:
    """Raise an InputError unless model, data and loss belong together."""
    I, O = model.layers[0].in_features, model.nodes[-1].out_features
    x, y = data.train.x, data.train.y
    if x.shape[1] != I or y.shape[1] != O:
        labels = " Class labels need loss='cross_entropy'." if y.shape[1] == 1 < O else ""
        raise ShapeError(
            f"The data have {x.shape[1]} inputs and {y.shape[1]} outputs; the model has {I} and "
            f"{O}. Make the model with width [{x.shape[1]}, ..., {y.shape[1]}].{labels}"
        )
    if isinstance(loss, CallableLoss) and data.train.weight is not None:
        raise InputError(
            f"The loss {loss.name!r} cannot take weights; use 'mse' or 'cross_entropy', or put the "
            "weights into the loss."
        )
    if isinstance(loss, CrossEntropy):
        if O < 2:
            raise InputError("cross_entropy needs one output a class, two classes at least; got 1.")
        if bool((y < 0).any() | ((y.sum(1) - 1).abs() > 1e-5).any()):
            raise DataError(
                "cross_entropy takes labels, one column of whole numbers from 0, or class "
                "probabilities: targets >= 0 that sum to 1 in each row, as "
                "torch.nn.functional.one_hot(classes).double()."
            )


@torch.no_grad()
def rescale(model: Network, factor: Tensor, offset: Tensor) -> None:
    """Make the model's outputs factor * y + offset, in place, by the weights of its last layer."""
    layer, nodes = model.layers[-1], model.nodes[-1]
    nodes.node_bias.mul_(factor).add_(offset)
    if nodes.arities:
        nodes.node_scale.mul_(factor)
        return
    layer.coef.mul_(factor[:, None, None])
    layer.scale_base.mul_(factor[:, None])
    layer.symbolic_affine[..., 2:].mul_(factor[:, None, None])
    nodes.sum_bias.mul_(factor)
    if bool((nodes.sum_scale == 1).all() & (nodes.node_scale == 1).all()):
        _settle_bias(layer, nodes)


def _settle_bias(layer: KANLayer, nodes: Nodes) -> None:
    """Move a sum node's constant into the d of its first symbolic edge, where it has one."""
    for o in range(layer.out_features):
        symbolic = (layer.symbolic_code[o] != 0).nonzero()
        if len(symbolic):
            layer.symbolic_affine[o, int(symbolic[0]), 3] += nodes.node_bias[o] + nodes.sum_bias[o]
            nodes.node_bias[o] = nodes.sum_bias[o] = 0.0
