"""What happens inside a network on given inputs, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Trace:
    """Node and edge values on given inputs; made only by ``Network.trace``.

    inputs[l]: (B, I_l), what enters layer l. edges[l]: (B, O_l, I_l), every edge's value.
    sums[l]: (B, O_l), their sums, before the nodes' affine maps and products. output: (B, O).
    """

    inputs: tuple[Tensor, ...]
    edges: tuple[Tensor, ...]
    sums: tuple[Tensor, ...]
    output: Tensor
