"""Sparser by trial: switch a weak edge off, train on, and keep it off if nothing is lost.

The penalty's minimum is not unique: two nodes may share what one could do. Trying without the
weakest, in the penalised objective itself, leaves such places.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgewise.nn import Network
from edgewise.nn.edges import edge_std
from edgewise.nn.jacobian import layout, pack, unpack
from edgewise.nn.shapes import reach
from edgewise.optim.levenberg_marquardt import minimise
from edgewise.problems.dataset import Samples
from edgewise.train.objective import Objective, SecondOrder
from edgewise.train.penalties import input_scale
from edgewise.train.recorder import Recorder

# An edge's normalised std below which it is off already.
_OFF = 1e-3
_TRIAL_STEPS = 15


@torch.no_grad()
def eliminate(model: Network, objective: Objective, data: Samples, record: Recorder) -> None:
    """Zero edges, weakest first, as long as the penalised objective falls; in place."""
    at = layout(model)
    tried: set[tuple[int, int, int]] = set()
    while not (record.stopped or record.late()):
        weakest = _weakest(model, data.x, tried)
        if weakest is None:
            return
        tried.add(weakest)
        function = SecondOrder(model, at, objective, data)
        kept = pack(model, at)
        before, _, _ = function.linearise(kept)
        l, o, i = weakest
        model.layers[l].coef[o, i] = 0.0
        model.layers[l].scale_base[o, i] = 0.0
        result = minimise(
            function.linearise,
            function.value,
            pack(model, at),
            steps=_TRIAL_STEPS,
            tolerance=1e-4,
            reach=reach(model, at),
        )
        if result.loss < before:
            unpack(model, at, result.theta)
            record.step(model)
        else:
            unpack(model, at, kept)


def _weakest(
    model: Network, x: Tensor, tried: set[tuple[int, int, int]]
) -> tuple[int, int, int] | None:
    """The spline edge (layer, output, input) of the smallest normalised std not yet tried."""
    found = []
    for l, (layer, nodes) in enumerate(zip(model.layers, model.nodes, strict=True)):
        v = edge_std(layer, x) / input_scale(x, l)
        for o, i in ((layer.mask != 0) & (v > _OFF)).nonzero().tolist():
            if (l, o, i) not in tried:
                found.append((float(v[o, i]), (l, o, i)))
        x = nodes(layer(x))
    return min(found)[1] if found else None
