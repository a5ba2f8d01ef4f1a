"""A transformer's encoder layer whose MLP is a KAN, and whose projections may be KANs too."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from edgewise.bases import Basis
from edgewise.bases.base import check_count
from edgewise.errors import InputError, ShapeError
from edgewise.nn.layer import KANLayer, checked
from edgewise.nn.rational import GRKAN


class SelfAttention(nn.Module):
    """softmax(q k' / sqrt(E / heads) + mask) v a head, then ``out``: (B, T, E) -> (B, T, E).

    q, k, v and out are nn.Linear ("linear") or KANLayer ("kan") from E to E. mask: (B, heads, T, T)
    or what broadcasts to it, added to the logits; a row whose mask is all -inf gets v = 0.
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dropout: float = 0.0,
        batch_first: bool = False,
        *,
        projections: str = "linear",
        basis: str | Basis = "bspline",
        bias: bool = True,
        generator: torch.Generator | None = None,
        **factory: Any,
    ) -> None:
        super().__init__()
        if d_model % nhead:
            raise InputError(f"d_model is {d_model}; expected a multiple of nhead = {nhead}.")
        if projections not in ("linear", "kan"):
            raise InputError(f"projections is {projections!r}; expected 'linear' or 'kan'.")
        self.nhead, self.dropout = nhead, dropout
        self.batch_first = batch_first  # nn.TransformerEncoder reads it here

        def projection() -> nn.Module:
            if projections == "kan":
                return KANLayer(d_model, d_model, basis, generator=generator, **factory)
            linear = nn.Linear(d_model, d_model, bias, **factory)
            nn.init.xavier_uniform_(linear.weight, generator=generator)
            if bias:
                nn.init.zeros_(linear.bias)
            return linear

        self.query, self.key, self.value = projection(), projection(), projection()
        self.out = projection()

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        # (B, T, E) -> (B, heads, T, E / heads)
        q, k, v = (
            layer(x).unflatten(-1, (self.nhead, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        share = self.dropout if self.training else 0.0
        mixed = scaled_dot_product_attention(q, k, v, mask, share)
        return self.out(mixed.transpose(1, 2).flatten(2))


class KANEncoderLayer(nn.Module):
    """A transformer's encoder layer with a KAN for its MLP; the call of nn.TransformerEncoderLayer.

    ::

        x <- norm1(x + attention(x)),  x <- norm2(x + ffn(x))           norm_first=False
        x <- x + attention(norm1(x)),  x <- x + ffn(norm2(x))           norm_first=True

    ffn: "kan" is KANLayer(E, F), KANLayer(F, E); F = ``dim_feedforward`` and E = ``d_model``. An
    edge has about K + 2 numbers where nn.Linear has one: an F smaller by as much keeps the size.
    "grkan" is GRKAN(E, F), GRKAN(F, E, start="gelu"), linear maps behind rational functions that
    ``groups`` of channels share: about the size of an MLP with the same F. projections: "linear" or
    "kan", for queries, keys, values and output. basis: of all KANs, a family's name or a Basis.

    src (T, B, E), (B, T, E) with ``batch_first``, or (T, E). src_mask (T, T) or (B heads, T, T) and
    src_key_padding_mask (B, T) or (T,): True hides, floats are added to the logits. is_causal: hides
    what comes later if no src_mask is given, else a hint without effect. A token that sees none
    gets 0 from the attention. In nn.TransformerEncoder, pass ``enable_nested_tensor=False``: torch
    has a fast path for its own layer only, and warns.

    Reference: A. Vaswani et al., *Attention Is All You Need* (2017); X. Yang, X. Wang,
    *Kolmogorov-Arnold Transformer* (2024).
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        *,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        ffn: str = "kan",
        projections: str = "linear",
        basis: str | Basis = "bspline",
        groups: int = 8,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        sizes = {"d_model": d_model, "nhead": nhead, "dim_feedforward": dim_feedforward}
        for name, size in sizes.items():
            check_count(name, size, 1)
        if not 0.0 <= dropout <= 1.0:
            raise InputError(f"dropout is {dropout}; expected a number from 0 to 1.")
        self.d_model, self.norm_first = d_model, norm_first
        factory: dict[str, Any] = {"dtype": dtype or torch.get_default_dtype(), "device": device}
        curves: dict[str, Any] = {"basis": basis, "generator": generator, **factory}
        self.self_attn = SelfAttention(
            d_model, nhead, dropout, batch_first, projections=projections, bias=bias, **curves
        )
        self.ffn = _feed_forward(ffn, d_model, dim_feedforward, dropout, groups, bias, curves)
        self.norm1 = nn.LayerNorm(d_model, layer_norm_eps, bias=bias, **factory)
        self.norm2 = nn.LayerNorm(d_model, layer_norm_eps, bias=bias, **factory)
        self.dropout1, self.dropout2 = nn.Dropout(dropout), nn.Dropout(dropout)

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        x = checked(src, self.d_model, self.norm1.weight.dtype)
        if x.ndim not in (2, 3):
            raise ShapeError(f"src has shape {tuple(x.shape)}; expected (T, B, E) or (T, E).")
        if x.ndim == 2:
            padding = None if src_key_padding_mask is None else src_key_padding_mask[None]
            batch = self._rows(x[None], src_mask, padding, is_causal)
            return batch[0]
        rows = x if self.self_attn.batch_first else x.transpose(0, 1)
        rows = self._rows(rows, src_mask, src_key_padding_mask, is_causal)
        return rows if self.self_attn.batch_first else rows.transpose(0, 1)

    def _rows(
        self, rows: Tensor, pairs: Tensor | None, padding: Tensor | None, causal: bool
    ) -> Tensor:
        """The formulas above for (B, T, E)."""
        mask = _mask(rows, self.self_attn.nhead, pairs, padding, causal)
        if self.norm_first:
            rows = rows + self.dropout1(self.self_attn(self.norm1(rows), mask))
            return rows + self.dropout2(self.ffn(self.norm2(rows)))
        rows = self.norm1(rows + self.dropout1(self.self_attn(rows, mask)))
        return self.norm2(rows + self.dropout2(self.ffn(rows)))


def _feed_forward(
    kind: str, E: int, F: int, dropout: float, groups: int, bias: bool, curves: dict[str, Any]
) -> nn.Sequential:
    """The map of each token by itself, E -> F -> E."""
    if kind == "kan":
        up, down = KANLayer(E, F, **curves), KANLayer(F, E, **curves)
        return nn.Sequential(up, nn.Dropout(dropout), down)
    if kind == "grkan":
        factory = {name: value for name, value in curves.items() if name != "basis"}
        first = GRKAN(E, F, groups, bias=bias, **factory)
        second = GRKAN(F, E, groups, "gelu", bias=bias, **factory)
        return nn.Sequential(first, nn.Dropout(dropout), second)
    raise InputError(f"ffn is {kind!r}; expected 'kan' or 'grkan'.")


def _mask(
    x: Tensor, heads: int, pairs: Tensor | None, padding: Tensor | None, causal: bool
) -> Tensor | None:
    """What is added to the logits, (B, heads, T, T) or what broadcasts to it, or None."""
    B, T = x.shape[:2]
    if pairs is None and causal:
        pairs = torch.ones(T, T, dtype=torch.bool, device=x.device).triu(1)
    total = None
    if pairs is not None:
        if pairs.shape not in ((T, T), (B * heads, T, T)):
            raise ShapeError(
                f"src_mask has shape {tuple(pairs.shape)}; expected {(T, T)} or {(B * heads, T, T)}."
            )
        total = _added(pairs, x).reshape(-1, heads if pairs.ndim == 3 else 1, T, T)
    if padding is not None:
        if padding.shape != (B, T):
            raise ShapeError(
                f"src_key_padding_mask has shape {tuple(padding.shape)}; expected {(B, T)}."
            )
        hidden = _added(padding, x).reshape(B, 1, 1, T)
        total = hidden if total is None else total + hidden
    return total


def _added(mask: Tensor, x: Tensor) -> Tensor:
    """0 and -inf for a mask that is True where it hides; a float mask is as it is."""
    if mask.dtype != torch.bool:
        return mask.to(x.dtype)
    return x.new_zeros(mask.shape).masked_fill(mask, -math.inf)
