"""One step of a temporal KAN: an output gate that reads small KANs with a memory of their own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from edgewise.bases import Basis
from edgewise.bases.base import check_count
from edgewise.errors import ShapeError
from edgewise.nn.layer import KANLayer, checked

State = tuple[Tensor, Tensor]


class TKANCell(nn.Module):
    """One step of a temporal KAN, with the call of nn.LSTMCell.

    ::

        f, i = sigmoid(W_f x + U_f h + b_f), sigmoid(W_i x + U_i h + b_i)
        g    = tanh(W_g x + U_g h + b_g)
        s_l  = V_l x + R_l r_l,   o_l = KAN_l(s_l)                l = 1..L
        c   <- f c + i g
        h   <- sigmoid(W_o [o_1, .., o_L] + b_o) tanh(c)
        r_l <- p_l o_l + q_l r_l                                  element by element

    x (B, I), state (h, m) -> (h, m): h (B, H), and the memory m = [c, r_1, .., r_L] (B, H + L S)
    with L = ``inner`` KANs of one layer, S inputs and outputs. A memory of H columns is c; r is
    then 0. ``state=None`` is zero. Without a batch, x (I,), h (H,) and m (H + L S,).

    inner_size: S; None stands for I. basis: of the inner KANs, a family's name or a Basis; what
    they read is not bounded, so the basis goes on outside its range as its family does. At the start
    b_f = 1 (other biases 0), p = q = 1/2, R = 0, U orthogonal, other matrices Xavier-uniform.

    Reference: R. Genet, H. Inzirillo, *TKAN: Temporal Kolmogorov-Arnold Networks* (2024).
    """

    bias_gates: nn.Parameter | None
    bias_output: nn.Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        basis: str | Basis = "bspline",
        inner: int = 1,
        inner_size: int | None = None,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        S = input_size if inner_size is None else inner_size
        sizes = {"input_size": input_size, "hidden_size": hidden_size, "inner": inner}
        for name, size in {**sizes, "inner_size": S}.items():
            check_count(name, size, 1)
        I, H, L = input_size, hidden_size, inner
        self.input_size, self.hidden_size, self.inner, self.inner_size = I, H, L, S
        factory: dict[str, Any] = {"dtype": dtype or torch.get_default_dtype(), "device": device}
        self.weight_gates = nn.Parameter(torch.empty(3 * H, I, **factory))
        self.weight_hidden = nn.Parameter(torch.empty(3 * H, H, **factory))
        self.weight_inner = nn.Parameter(torch.empty(L * S, I, **factory))
        self.weight_memory = nn.Parameter(torch.empty(L, S, S, **factory))
        self.weight_output = nn.Parameter(torch.empty(H, L * S, **factory))
        self.take = nn.Parameter(torch.empty(L, S, **factory))
        self.keep = nn.Parameter(torch.empty(L, S, **factory))
        self.bias_gates = nn.Parameter(torch.empty(3 * H, **factory)) if bias else None
        self.bias_output = nn.Parameter(torch.empty(H, **factory)) if bias else None
        self.kans = nn.ModuleList(
            KANLayer(S, S, basis, generator=generator, **factory) for _ in range(L)
        )
        self._draw(generator)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw the start anew, that of the inner KANs too."""
        for kan in self.kans:
            kan.reset_parameters(generator=generator)  # type: ignore[operator]
        self._draw(generator)

    @torch.no_grad()
    def _draw(self, generator: torch.Generator | None) -> None:
        for weight in (self.weight_gates, self.weight_inner, self.weight_output):
            nn.init.xavier_uniform_(weight, generator=generator)
        for square in self.weight_hidden.chunk(3):
            nn.init.orthogonal_(square, generator=generator)
        # through curves that go on straight outside their range a recursion can grow: learnt from none
        self.weight_memory.zero_()
        self.take.fill_(0.5)
        self.keep.fill_(0.5)
        if self.bias_gates is not None and self.bias_output is not None:
            self.bias_gates.zero_()
            self.bias_gates[: self.hidden_size] = 1.0
            self.bias_output.zero_()

    @property
    def memory_size(self) -> int:
        """H + L S, the columns of m."""
        return self.hidden_size + self.inner * self.inner_size

    def drive(self, x: Tensor) -> State:
        """What x (..., I) adds to the gates (..., 3H) and to the inner KANs (..., L, S)."""
        gates = linear(x, self.weight_gates, self.bias_gates)
        return gates, linear(x, self.weight_inner).unflatten(-1, (self.inner, self.inner_size))

    def step(self, drive: State, h: Tensor, memory: Tensor) -> State:
        """The formulas above: ``drive(x)``, h (B, H), m (B, H + L S) -> h, m."""
        gates, s = drive
        c, r = memory.split([self.hidden_size, self.inner * self.inner_size], dim=-1)
        r = r.unflatten(-1, (self.inner, self.inner_size))
        f, i, g = (gates + linear(h, self.weight_hidden)).chunk(3, dim=-1)
        s = s + torch.einsum("bls,lts->blt", r, self.weight_memory)
        o = torch.stack([kan(s[:, l]) for l, kan in enumerate(self.kans)], dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        gate = torch.sigmoid(linear(o.flatten(1), self.weight_output, self.bias_output))
        r = self.take * o + self.keep * r
        return gate * torch.tanh(c), torch.cat([c, r.flatten(1)], dim=-1)

    def start(self, x: Tensor, state: State | None, leading: tuple[int, ...]) -> State:
        """(h, m) with ``leading`` dimensions: zeros, or the given state with r = 0 if it has none."""
        H, M = self.hidden_size, self.memory_size
        if state is None:
            return x.new_zeros(*leading, H), x.new_zeros(*leading, M)
        h, m = state
        if h.shape != (*leading, H) or m.shape not in ((*leading, H), (*leading, M)):
            raise ShapeError(
                f"The state has shapes {tuple(h.shape)} and {tuple(m.shape)}; expected "
                f"{(*leading, H)} and {(*leading, M)}, or {(*leading, H)} twice."
            )
        missing = M - m.shape[-1]
        return h.to(x.dtype), pad(m.to(x.dtype), (0, missing))

    def forward(self, x: Tensor, state: State | None = None) -> State:
        x = checked(x, self.input_size, self.weight_gates.dtype)
        if x.ndim > 2:
            raise ShapeError(f"A cell takes (B, {self.input_size}), not {tuple(x.shape)}.")
        h, m = self.start(x, state, tuple(x.shape[:-1]))
        if x.ndim == 2:
            return self.step(self.drive(x), h, m)
        h, m = self.step(self.drive(x[None]), h[None], m[None])
        return h[0], m[0]
