"""Wav-KAN's own layer: every edge is one wavelet with a scale and a place of its own."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from edgewise.bases.base import check_count
from edgewise.bases.wavelet_curves import CURVES
from edgewise.errors import InputError
from edgewise.nn.layer import checked

# Edges are computed for so many samples at a time that a block holds at most this many numbers.
_BLOCK = 1 << 20


class EdgeWavelets(nn.Module):
    """y_o = sum_i w_oi psi((x_i - t_oi) / s_oi).

    x: (..., I) -> (..., O), leading dimensions of any number, as nn.Linear. Here, unlike in
    ``KANLayer(basis="wavelet")``, no two edges share a value of psi, so that a sample takes O I of
    them instead of I K. They are made in blocks of at most 2^20 numbers; on the way back each block
    is computed once more, and what is kept between is x alone.

    kind: psi: "mexican_hat", "morlet", "dog", "meyer" or "shannon". generator: for a start that can
    be repeated. Parameters, all (O, I): ``weight`` w, at first uniform on +-1 / sqrt(I);
    ``log_scale`` log s and ``shift`` t, at first 0. The source puts nn.BatchNorm1d(O) behind:
    ``nn.Sequential(EdgeWavelets(4, 8), nn.BatchNorm1d(8))``.

    Raises InputError for an unknown kind and ShapeError when the last dimension of x is not I.

    Reference: Z. Bozorgasl, H. Chen, *Wav-KAN: Wavelet Kolmogorov-Arnold Networks* (2024).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kind: str = "mexican_hat",
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        check_count("in_features", in_features, 1)
        check_count("out_features", out_features, 1)
        if kind not in CURVES:
            raise InputError(f"kind is {kind!r}; expected one of {sorted(CURVES)}.")
        self.in_features, self.out_features, self.kind = in_features, out_features, kind
        factory: dict[str, Any] = {"dtype": dtype or torch.get_default_dtype(), "device": device}
        self.weight = nn.Parameter(torch.empty(out_features, in_features, **factory))
        self.log_scale = nn.Parameter(torch.empty(out_features, in_features, **factory))
        self.shift = nn.Parameter(torch.empty(out_features, in_features, **factory))
        self.reset_parameters(generator)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw the start anew."""
        bound = 1 / math.sqrt(self.in_features)
        with torch.no_grad():
            self.weight.uniform_(-bound, bound, generator=generator)
            self.log_scale.zero_()
            self.shift.zero_()

    def forward(self, x: Tensor) -> Tensor:
        x = checked(x, self.in_features, self.weight.dtype)
        flat = x.reshape(math.prod(x.shape[:-1]), self.in_features)
        blocks = flat.split(max(1, _BLOCK // self.weight.numel()))
        own = self.weight, self.log_scale, self.shift
        if len(blocks) == 1:
            y = self._sums(flat, *own)
        elif torch.is_grad_enabled():
            once_more = partial(checkpoint, self._sums, use_reentrant=False)
            y = torch.cat([once_more(block, *own, preserve_rng_state=False) for block in blocks])
        else:
            y = torch.cat([self._sums(block, *own) for block in blocks])
        return y.reshape(*x.shape[:-1], self.out_features)

    def _sums(self, x: Tensor, weight: Tensor, log_scale: Tensor, shift: Tensor) -> Tensor:
        """x (B, I) -> (B, O), by way of (B, O, I)."""
        u = (x[:, None] - shift) * torch.exp(-log_scale)
        return torch.einsum("boi,oi->bo", CURVES[self.kind](u, 0), weight)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, kind={self.kind!r}"
