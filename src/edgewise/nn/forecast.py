"""Temporal KAN transformer: several steps of a series ahead from several variables."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import elu, glu

from edgewise.bases import Basis
from edgewise.bases.base import check_count
from edgewise.errors import InputError, ShapeError
from edgewise.nn.layer import checked
from edgewise.nn.recurrent import TKAN


class GatedResidual(nn.Module):
    """GRN(a) = norm(skip(a) + glu(W_1 elu(W_2 a))): (..., I) -> (..., O); glu(v) halves 2 O.

    skip is a linear map where I and O differ.
    """

    def __init__(self, in_features: int, out_features: int, hidden: int, **factory: Any) -> None:
        super().__init__()
        self.inner = nn.Linear(in_features, hidden, **factory)
        self.gates = nn.Linear(hidden, 2 * out_features, **factory)
        same = in_features == out_features
        self.skip = nn.Identity() if same else nn.Linear(in_features, out_features, **factory)
        self.norm = nn.LayerNorm(out_features, **factory)

    def forward(self, a: Tensor) -> Tensor:
        return self.norm(self.skip(a) + glu(self.gates(elu(self.inner(a)))))


class VariableSelection(nn.Module):
    """Each of V variables embedded and weighed: x (..., V) -> selected (..., E), weights (..., V).

    ::

        e_v = w_v x_v + b_v,   a = softmax(GRN(e_1, .., e_V)),   selected = sum_v a_v GRN_v(e_v)
    """

    def __init__(self, variables: int, size: int, **factory: Any) -> None:
        super().__init__()
        V, E = variables, size
        self.weight = nn.Parameter(torch.randn(V, E, **factory) / E**0.5)
        self.bias = nn.Parameter(torch.zeros(V, E, **factory))
        self.choice = GatedResidual(V * E, V, E, **factory)
        self.maps = nn.ModuleList(GatedResidual(E, E, E, **factory) for _ in range(V))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        e = x[..., None] * self.weight + self.bias
        shares = self.choice(e.flatten(-2)).softmax(-1)
        mapped = torch.stack([one(v) for one, v in zip(self.maps, e.unbind(-2), strict=True)], -2)
        return (shares[..., None] * mapped).sum(-2), shares


class TKAT(nn.Module):
    """Temporal KAN transformer: x (B, T, V) -> the next ``horizon`` values (B, horizon).

    ::

        p = select(x),  q = steps (+ select(future))         variables embedded and weighed
        u, state = encoder(p),  v = decoder(q, state)        temporal KANs
        z = norm([p, q] + glu(W [u, v]))                     gate and norm
        w = norm(z_q + glu(W' attention(z_q, z)))            the steps ahead look at all
        y = W'' [w_1, .., w_horizon] + b                     one dense layer

    ``steps`` is learnt, one vector a step ahead. future (B, horizon, future_size): variables known
    beforehand, such as the month; none by default. ``selection(x)`` gives the weights of the
    variables, (B, T, V). Scale the series first: differences from a mean, in standard deviations.
    hidden_size: E, a multiple of nhead. basis, inner, inner_size: as TKAN's.

    Reference: R. Genet, H. Inzirillo, *A Temporal Kolmogorov-Arnold Transformer for Time Series
    Forecasting* (2024).
    """

    def __init__(
        self,
        input_size: int,
        horizon: int,
        hidden_size: int = 32,
        nhead: int = 4,
        dropout: float = 0.0,
        *,
        future_size: int = 0,
        basis: str | Basis = "bspline",
        inner: int = 1,
        inner_size: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        counts = {"input_size": input_size, "horizon": horizon, "hidden_size": hidden_size}
        for name, count in counts.items():
            check_count(name, count, 1)
        check_count("future_size", future_size, 0)
        check_count("nhead", nhead, 1)
        if hidden_size % nhead:
            raise InputError(
                f"hidden_size is {hidden_size}; expected a multiple of nhead = {nhead}."
            )
        self.input_size, self.horizon, self.future_size = input_size, horizon, future_size
        E = hidden_size
        factory: dict[str, Any] = {"dtype": dtype or torch.get_default_dtype(), "device": device}
        self.past = VariableSelection(input_size, E, **factory)
        self.steps = nn.Parameter(torch.randn(horizon, E, **factory) / E**0.5)
        self.future = VariableSelection(future_size, E, **factory) if future_size else None
        inner_size = min(E, 8) if inner_size is None else inner_size
        cells: dict[str, Any] = {"basis": basis, "inner": inner, "inner_size": inner_size}
        self.encoder = TKAN(E, E, batch_first=True, **cells, **factory)
        self.decoder = TKAN(E, E, batch_first=True, **cells, **factory)
        self.gate = nn.Linear(E, 2 * E, **factory)
        self.norm = nn.LayerNorm(E, **factory)
        self.attention = nn.MultiheadAttention(E, nhead, dropout, batch_first=True, **factory)
        self.attention_gate = nn.Linear(E, 2 * E, **factory)
        self.attention_norm = nn.LayerNorm(E, **factory)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(horizon * E, horizon, **factory)

    def selection(self, x: Tensor) -> Tensor:
        """The share of each variable at each step: (B, T, V) -> (B, T, V), summing to 1."""
        return self.past(self._checked(x))[1]

    def _checked(self, x: Tensor) -> Tensor:
        x = checked(x, self.input_size, self.steps.dtype)
        if x.ndim != 3:
            raise ShapeError(f"x has shape {tuple(x.shape)}; expected (B, T, {self.input_size}).")
        return x

    def _ahead(self, B: int, future: Tensor | None) -> Tensor:
        """What the decoder reads, (B, horizon, E)."""
        steps = self.steps.expand(B, -1, -1)
        if self.future is None:
            if future is not None:
                raise ShapeError("future came, but this model was made with future_size=0.")
            return steps
        expected = (B, self.horizon, self.future_size)
        if future is None or future.shape != expected:
            came = None if future is None else tuple(future.shape)
            raise ShapeError(f"future has shape {came}; expected {expected}.")
        return steps + self.future(future.to(steps.dtype))[0]

    def forward(self, x: Tensor, future: Tensor | None = None) -> Tensor:
        x = self._checked(x)
        p, _ = self.past(x)
        q = self._ahead(x.shape[0], future)
        u, state = self.encoder(p)
        v, _ = self.decoder(q, state)
        states = self.dropout(torch.cat([u, v], dim=1))
        z = self.norm(torch.cat([p, q], dim=1) + glu(self.gate(states)))
        ahead = z[:, -self.horizon :]
        seen, _ = self.attention(ahead, z, z, need_weights=False)
        w = self.attention_norm(ahead + glu(self.attention_gate(self.dropout(seen))))
        return self.head(w.flatten(1))
