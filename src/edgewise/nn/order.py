"""Hidden nodes in another order: the same function, an easier picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

from edgewise.errors import InputError
from edgewise.nn.network import Network

Kind = TypeVar("Kind", bound=Network)


@torch.no_grad()
def permute(model: Kind, level: int, order: Sequence[int]) -> Kind:
    """A new network whose node n of a hidden level is node order[n] of the one given.

    Sums stay before products. The function is the same up to the order in which sums are taken.
    Raises InputError for a level that is not hidden and an order that is no such permutation.
    """
    if not 1 <= level < len(model.layers):
        raise InputError(
            f"Level {level} was asked for; hidden levels are 1 to {len(model.layers) - 1}."
        )
    old = model.nodes[level - 1]
    _check(order, old.n_sum, old.out_features, level)
    moved = model.clone()
    nodes = moved.nodes[level - 1]
    starts = [old.owner.index(n) for n in range(old.out_features)]
    size = [old.owner.count(n) for n in range(old.out_features)]
    sums = torch.tensor([starts[n] + m for n in order for m in range(size[n])])
    own = torch.tensor(order)
    nodes.arities = tuple(old.arities[n - old.n_sum] for n in order[old.n_sum :])
    for name, rows in (
        ("sum_scale", sums), ("sum_bias", sums), ("node_scale", own), ("node_bias", own),
    ):  # fmt: skip
        _reorder(getattr(nodes, name), rows, 0)
    below, above = moved.layers[level - 1], moved.layers[level]
    for name in ("coef", "scale_base", "scale_spline", "symbolic_affine", "mask", "symbolic_code"):
        _reorder(getattr(below, name), sums, 0)
        _reorder(getattr(above, name), own, 1)
    for tensor in above.basis_tensors.values():
        _reorder(tensor, own, 0)
    return moved


def _reorder(tensor: Tensor, index: Tensor, dim: int) -> None:
    tensor.copy_(tensor.index_select(dim, index.to(tensor.device)))


def _check(order: Sequence[int], n_sum: int, count: int, level: int) -> None:
    if sorted(order) != list(range(count)):
        raise InputError(f"The order {list(order)} is no permutation of level {level}'s {count}.")
    if any((n < n_sum) != (place < n_sum) for place, n in enumerate(order)):
        raise InputError(
            f"The order {list(order)} mixes sums and products; level {level} has {n_sum} sums, and "
            "products come behind them."
        )
