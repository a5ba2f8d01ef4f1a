"""The nodes between two layers: sums that pass, and products of blocks of sums."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from edgewise.bases.base import check_count
from edgewise.errors import InputError


class Nodes(nn.Module):
    """Node values from the sums s of a layer.

    u = sum_scale * s + sum_bias; the first n_sum values pass, then consecutive blocks of
    ``arities`` values are multiplied; the result is node_scale * (.) + node_bias.

    s: (..., n_sum + sum(arities)) -> (..., n_sum + len(arities)). The affine maps start as identity
    and are trained only with ``trainable``. Reference: Liu et al., *KAN 2.0* (2024), MultKAN.
    """

    def __init__(
        self,
        n_sum: int,
        arities: tuple[int, ...] = (),
        *,
        trainable: bool = False,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        check_count("n_sum", n_sum, 0)
        for arity in arities:
            check_count("mult_arity", arity, 2)
        if n_sum + len(arities) == 0:
            raise InputError("A layer of width 0 was asked for; give it at least one node.")
        self.n_sum, self.arities = n_sum, tuple(arities)
        factory: dict[str, Any] = {"dtype": dtype or torch.get_default_dtype(), "device": device}
        n_in, n_out = self.in_features, self.out_features
        self.sum_scale = nn.Parameter(torch.ones(n_in, **factory), requires_grad=trainable)
        self.sum_bias = nn.Parameter(torch.zeros(n_in, **factory), requires_grad=trainable)
        self.node_scale = nn.Parameter(torch.ones(n_out, **factory), requires_grad=trainable)
        self.node_bias = nn.Parameter(torch.zeros(n_out, **factory), requires_grad=trainable)

    @property
    def in_features(self) -> int:
        return self.n_sum + sum(self.arities)

    @property
    def out_features(self) -> int:
        return self.n_sum + len(self.arities)

    @property
    def owner(self) -> list[int]:
        """The node that each sum belongs to: sums first, then the factors of each product."""
        factors = [self.n_sum + m for m, arity in enumerate(self.arities) for _ in range(arity)]
        return [*range(self.n_sum), *factors]

    def blocks(self, u: Tensor) -> list[Tensor]:
        """The factors of each product: (..., arity) each."""
        return list(u[..., self.n_sum :].split(list(self.arities), dim=-1)) if self.arities else []

    def forward(self, s: Tensor) -> Tensor:
        u = torch.addcmul(self.sum_bias, self.sum_scale, s)
        if self.arities:
            products = torch.stack([block.prod(-1) for block in self.blocks(u)], dim=-1)
            u = torch.cat([u[..., : self.n_sum], products], dim=-1)
        return torch.addcmul(self.node_bias, self.node_scale, u)

    def pull_back(self, s: Tensor, S: Tensor) -> Tensor:
        """Sensitivities to the nodes (B, Y, nodes) -> sensitivities to the sums s (B, Y, sums)."""
        return self.pull_back_to_factors(s, S) * self.sum_scale

    def pull_back_to_factors(self, s: Tensor, S: Tensor) -> Tensor:
        """As ``pull_back``, to u = sum_scale * s + sum_bias."""
        S = S * self.node_scale
        u = self.sum_scale * s + self.sum_bias
        parts = [S[..., : self.n_sum]]
        for m, block in enumerate(self.blocks(u)):
            arity = block.shape[-1]
            others = [
                block[..., [n for n in range(arity) if n != j]].prod(-1) for j in range(arity)
            ]
            parts.append(S[..., self.n_sum + m, None] * torch.stack(others, dim=-1)[:, None, :])
        return torch.cat(parts, dim=-1)
