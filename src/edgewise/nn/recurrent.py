"""Temporal KAN: a recurrent layer whose output gate reads small KANs with a memory of their own."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from edgewise.bases import Basis
from edgewise.bases.base import check_count
from edgewise.errors import InputError, ShapeError
from edgewise.nn.layer import checked
from edgewise.nn.recurrent_cell import State, TKANCell

__all__ = ["TKAN", "TKANCell"]


class TKAN(nn.Module):
    """Layers of temporal KANs over a sequence, with the call of nn.LSTM.

    ``output, (h, m) = TKAN(I, H)(x, (h0, m0))``: x (T, B, I), or (B, T, I) with ``batch_first``, or
    (T, I), or a PackedSequence; output alike, with H or, bidirectional, 2H columns; h (N, B, H) and
    m (N, B, H + L S) for N = ``num_layers`` (times 2) cells, in nn.LSTM's order. m takes the place
    of nn.LSTM's c and holds, after c, what the inner KANs remember (see TKANCell): a sequence fed
    in pieces, each with the state that the last one returned, gives what it gives as one. An m0 of
    H columns, as made for nn.LSTM, is c0 with r = 0. Of sequences of several lengths, pack them: a
    row's state stops at its own end.

    dropout: between layers, in training. Raises ShapeError for an empty sequence or a wrong shape.
    Other arguments as TKANCell's.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        basis: str | Basis = "bspline",
        inner: int = 1,
        inner_size: int | None = None,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_count("num_layers", num_layers, 1)
        if not 0.0 <= dropout <= 1.0:
            raise InputError(f"dropout is {dropout}; expected a number from 0 to 1.")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.batch_first, self.dropout, self.bidirectional = batch_first, dropout, bidirectional
        self.directions = 2 if bidirectional else 1
        inner_size = input_size if inner_size is None else inner_size
        cells = []
        for n in range(num_layers):
            size = hidden_size * self.directions if n else input_size
            cells += [
                TKANCell(
                    size,
                    hidden_size,
                    bias,
                    basis=basis,
                    inner=inner,
                    inner_size=inner_size,
                    generator=generator,
                    device=device,
                    dtype=dtype,
                )
                for _ in range(self.directions)
            ]
        self.cells = nn.ModuleList(cells)

    def forward(
        self, x: Tensor | PackedSequence, state: State | None = None
    ) -> tuple[Tensor | PackedSequence, State]:
        if isinstance(x, PackedSequence):
            return self._packed(x, state)
        x = checked(x, self.input_size, self.cells[0].weight_gates.dtype)  # type: ignore[arg-type]
        if x.ndim not in (2, 3):
            raise ShapeError(f"x has shape {tuple(x.shape)}; expected (T, B, I) or (T, I).")
        if x.ndim == 2:
            given = None if state is None else (state[0].unsqueeze(1), state[1].unsqueeze(1))
            y, (h, m) = self._run(x.unsqueeze(1), given)
            return y.squeeze(1), (h.squeeze(1), m.squeeze(1))
        y, after = self._run(x.transpose(0, 1) if self.batch_first else x, state)
        return (y.transpose(0, 1) if self.batch_first else y), after

    def _packed(self, x: PackedSequence, state: State | None) -> tuple[PackedSequence, State]:
        # in the packed order, longest first
        rows, lengths = pad_packed_sequence(PackedSequence(x.data, x.batch_sizes))
        rows = checked(rows, self.input_size, self.cells[0].weight_gates.dtype)  # type: ignore[arg-type]
        if state is not None and x.sorted_indices is not None:
            state = state[0][:, x.sorted_indices], state[1][:, x.sorted_indices]
        times = torch.arange(rows.shape[0], device=rows.device)[:, None, None]
        y, (h, m) = self._run(rows, state, times < lengths.to(rows.device)[:, None])
        if x.unsorted_indices is not None:
            h, m = h[:, x.unsorted_indices], m[:, x.unsorted_indices]
        packed = pack_padded_sequence(y, lengths)
        order = x.sorted_indices, x.unsorted_indices
        return PackedSequence(packed.data, packed.batch_sizes, *order), (h, m)

    def _run(
        self, x: Tensor, state: State | None, live: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """All layers over x (T, B, I); live (T, B, 1): False where a row has ended."""
        if x.shape[0] == 0:
            raise ShapeError(f"x has shape {tuple(x.shape)}; expected at least one step.")
        first: TKANCell = self.cells[0]  # type: ignore[assignment]
        h0, m0 = first.start(x, state, (len(self.cells), x.shape[1]))
        after = []
        for n in range(self.num_layers):
            sides = []
            for d in range(self.directions):
                k = n * self.directions + d
                cell: TKANCell = self.cells[k]  # type: ignore[assignment]
                y, last = _over_time(cell, x, (h0[k], m0[k]), live, backward=d == 1)
                sides.append(y)
                after.append(last)
            x = torch.cat(sides, dim=-1) if self.bidirectional else sides[0]
            if self.dropout and n < self.num_layers - 1:
                x = dropout(x, self.dropout, self.training)
        return x, (torch.stack([h for h, _ in after]), torch.stack([m for _, m in after]))

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}"


def _over_time(
    cell: TKANCell, x: Tensor, state: State, live: Tensor | None, backward: bool
) -> tuple[Tensor, State]:
    """One cell along x (T, B, I), from the end if ``backward`` -> (T, B, H) and the last state."""
    gates, inner = cell.drive(x)
    h, m = state
    outputs = [h] * x.shape[0]
    for t in reversed(range(x.shape[0])) if backward else range(x.shape[0]):
        new_h, new_m = cell.step((gates[t], inner[t]), h, m)
        if live is None:
            h, m = new_h, new_m
        else:
            h, m = torch.where(live[t], new_h, h), torch.where(live[t], new_m, m)
        outputs[t] = h
    return torch.stack(outputs), (h, m)
