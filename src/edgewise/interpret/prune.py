"""Smaller networks: nodes, edges and inputs that contribute little are taken out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

from edgewise.errors import InputError
from edgewise.interpret.attribution import Attribution, attribute
from edgewise.nn import KANLayer, Network, Nodes, Trace

Kind = TypeVar("Kind", bound=Network)


def prune(
    model: Kind,
    trace: Trace,
    scores: Attribution | None = None,
    *,
    node_th: float = 1e-2,
    edge_th: float = 3e-2,
) -> Kind:
    """A new, independent network without hidden nodes and edges below the thresholds.

    Nodes scoring below ``node_th`` go first; then edges below ``edge_th`` (scores taken anew); then
    nodes that nothing enters or leaves. The mean of what is removed moves into the biases of the
    sums it fed; what the curves and products behind make of that moves into the outputs' biases,
    so that the outputs' means stay. Inputs and outputs stay (see ``prune_inputs``).
    Raises InputError when no output would depend on an input any more.
    """
    scores = scores or attribute(model, trace)
    keep = [scores.nodes[l] >= node_th for l in range(1, len(model.layers))]
    smaller = select(model, trace, keep)
    x = trace.inputs[0]
    again = smaller.trace(x)
    smaller = _sweep(prune_edges(smaller, again, edge_th=edge_th), x)
    _keep_means(smaller, trace)
    return smaller


def prune_edges(
    model: Kind, trace: Trace, scores: Attribution | None = None, *, edge_th: float = 3e-2
) -> Kind:
    """A new network with the edges that score below ``edge_th`` switched off."""
    scores = scores or attribute(model, trace)
    smaller = model.clone()
    for l, layer in enumerate(smaller.layers):
        weak = (scores.edges[l] < edge_th) & layer.live
        remove_edges(smaller, l, weak, trace)
    if not _connected(smaller):
        raise InputError(
            f"With edge_th {edge_th} no output would depend on an input any more (scores of the "
            f"last layer: at most {float(scores.edges[-1].max()):.3g}); use a smaller threshold."
        )
    _keep_means(smaller, trace)
    return smaller


def _connected(model: Network) -> bool:
    """Whether a path of live edges leads from an input to an output."""
    reached = torch.ones(model.layers[0].in_features, dtype=torch.bool, device=model.device)
    for layer, nodes in zip(model.layers, model.nodes, strict=True):
        sums = (layer.live & reached).any(1)
        reached = torch.zeros(nodes.out_features, dtype=torch.bool, device=model.device)
        reached[torch.tensor(nodes.owner, device=model.device)[sums]] = True
    return bool(reached.any())


@torch.no_grad()
def _keep_means(model: Kind, trace: Trace) -> None:
    """Shift the outputs, in place, to the means that they have in the trace."""
    shift = trace.output.mean(0) - model(trace.inputs[0]).mean(0)
    small = shift.abs() <= 1e-14 * trace.output.abs().amax(0)  # rounding: leave round constants
    model.nodes[-1].node_bias.add_(torch.where(small, torch.zeros_like(shift), shift))


@torch.no_grad()
def remove_edges(model: Network, l: int, edges: Tensor, trace: Trace) -> None:
    """Switch off edges (O, I) bool of layer l in place; their means go into the sums' biases."""
    nodes = model.nodes[l]
    means = (trace.edges[l].mean(0) * edges).sum(1)
    nodes.sum_bias.add_(nodes.sum_scale * means.to(nodes.sum_bias))
    model.layers[l].switch_off(edges)


def prune_inputs(
    model: Kind,
    trace: Trace,
    scores: Attribution | None = None,
    *,
    threshold: float = 1e-2,
    keep: Sequence[int] | None = None,
) -> tuple[Kind, list[int]]:
    """A new network on fewer inputs, and their indices in the old one.

    Inputs that score below ``threshold`` go, or all but ``keep``; a removed input counts with the
    mean of its edges. Give the new network x[:, indices].
    """
    scores = scores or attribute(model, trace)
    kept = list(keep) if keep is not None else (scores.inputs >= threshold).nonzero()[:, 0].tolist()
    I = model.layers[0].in_features
    if not kept or any(type(i) is not int or not 0 <= i < I for i in kept):
        raise InputError(f"Inputs {kept} would be kept of {I}; at least one valid index is needed.")
    if len(set(kept)) != len(kept):
        raise InputError(f"Inputs {kept} name one twice.")
    smaller = model.clone()
    gone = torch.ones(I, dtype=torch.bool, device=model.device)
    gone[kept] = False
    remove_edges(smaller, 0, gone[None, :] & smaller.layers[0].live, trace)
    index = torch.tensor(kept, device=model.device)
    _keep_means(smaller, trace)
    _cut(
        smaller.layers[0], torch.arange(smaller.layers[0].out_features, device=model.device), index
    )
    if smaller.input_names is not None:
        smaller.input_names = tuple(smaller.input_names[i] for i in kept)
    return smaller, kept


@torch.no_grad()
def select(model: Kind, trace: Trace, keep: Sequence[Tensor]) -> Kind:
    """A new network with the hidden nodes of ``keep``: keep[l - 1] (nodes,) bool for level l."""
    smaller = model.clone()
    for l, kept in enumerate(keep):
        if not bool(kept.any()):
            kept = kept.clone()
            kept[attribute(model, trace).nodes[l + 1].argmax()] = True  # a level needs one node
        gone = ~kept.to(model.device)
        # what the removed nodes fed: their edges' means move to the next sums
        remove_edges(smaller, l + 1, gone[None, :] & smaller.layers[l + 1].live, trace)
        old = smaller.nodes[l]
        sums = torch.tensor([bool(kept[owner]) for owner in old.owner], device=model.device)
        smaller.nodes[l] = _nodes_subset(old, kept, sums)  # type: ignore[index]
        rows = sums.nonzero()[:, 0]
        layer = smaller.layers[l]
        _cut(layer, rows, torch.arange(layer.in_features, device=model.device))
        after = smaller.layers[l + 1]
        _cut(after, torch.arange(after.out_features, device=model.device), kept.nonzero()[:, 0])
    return smaller


def _nodes_subset(old: Nodes, kept: Tensor, sums: Tensor) -> Nodes:
    n_sum = int(kept[: old.n_sum].sum())
    arities = tuple(a for m, a in enumerate(old.arities) if bool(kept[old.n_sum + m]))
    trainable = old.sum_scale.requires_grad
    new = Nodes(
        n_sum, arities, trainable=trainable, dtype=old.sum_scale.dtype, device=old.sum_scale.device
    )
    for name, rows in (
        ("sum_scale", sums),
        ("sum_bias", sums),
        ("node_scale", kept),
        ("node_bias", kept),
    ):
        getattr(new, name).copy_(getattr(old, name)[rows.to(old.sum_scale.device)])
    return new


@torch.no_grad()
def _cut(layer: KANLayer, outputs: Tensor, inputs: Tensor) -> None:
    """Keep the given rows and columns of a layer, in place."""
    for name in ("scale_base", "scale_spline", "symbolic_affine"):
        old = getattr(layer, name)
        part = old[outputs][:, inputs].detach().clone()
        setattr(layer, name, torch.nn.Parameter(part, requires_grad=old.requires_grad))
    for name in ("mask", "symbolic_code"):
        setattr(layer, name, getattr(layer, name)[outputs][:, inputs].clone())
    tensors = {name: tensor[inputs].clone() for name, tensor in layer.basis_tensors.items()}
    layer.set_basis(layer.basis, tensors, layer.coef[outputs][:, inputs])
    layer.out_features, layer.in_features = len(outputs), len(inputs)


def _sweep(model: Kind, x: Tensor) -> Kind:
    """Take out hidden nodes that nothing leaves, and those that nothing enters, until none is left.

    A sum that nothing enters is a constant: its effect moves into the biases behind it.
    """
    while True:
        keep = []
        for l in range(1, len(model.layers)):
            leaves = model.layers[l].live.any(0)
            entered = torch.zeros_like(leaves)
            for row, owner in enumerate(model.nodes[l - 1].owner):
                entered[owner] |= model.layers[l - 1].live[row].any()
            keep.append(leaves & entered)
        if all(bool(kept.all()) or not bool(kept.any()) for kept in keep):
            return model
        model = select(model, model.trace(x), keep)
