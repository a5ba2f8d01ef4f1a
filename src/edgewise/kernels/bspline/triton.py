"""The three spline ops on a GPU, in Triton: F_r, D_r and H_r of ``contract.py``.

Only what is not zero is touched. A first kernel, ``active``, finds for every point the first of its
k + 1 active functions and their values (times u): first (I, B) and values (I, k+1, B), from the table
of ``pieces.py``, so that no other kernel knows of degree, knots, orders or extrapolation. It is a pass
of its own because in the others every lane along the outputs would repeat that work; what it writes is
k + 2 numbers a point whatever G is, and no tensor of B*I*K or B*I*O numbers ever exists.

``forward`` and ``pull`` then gather the k + 1 coefficient rows of each point. Coefficients are laid
out (I, K, O), outputs innermost, so a row is read in whole cache lines; programs that run together
share the few rows of an input in cache. Gathering, and not a dense product with the basis on tensor
cores, because its work does not grow with G and keeps full float32 and float64. ``outer`` turns the
scatter into sums: the rows of the batch are sorted by interval, input by input, and one program adds
up the rows of one interval in registers, k + 1 sums an output. Neighbouring intervals share functions;
their sums, G (k + 1)/K times the result in size, are added last. There are no atomic additions: the
order of float32 atomics, and with it the last digits, would change from run to run. Where there are
too few programs to fill a GPU, the sum over inputs or rows is split and the parts are added at the
end, by a rule that looks at shapes only. So equal arguments give equal bits.

Blocks are fixed, not autotuned: tuning would cost seconds at every new shape, and the reasons for the
choice (see ``_tile``) do not depend on the shape. Registers and spills were looked at as compiled for
compute capability 9.0; results are tested in Triton's interpreter. No speed has been measured.
"""

from __future__ import annotations

import torch
import triton
from torch import Tensor

from edgewise.kernels.bspline.contract import Spline
from edgewise.kernels.bspline.pieces import even_pieces, pieces
from edgewise.kernels.bspline.triton_kernels import active, sum_inputs, sum_outputs, sum_rows

# Said outright, because Triton's default changes between versions: a product and its sum in one step.
FUSED = {"enable_fp_fusion": True}

# Programs wanted at the least, a few for each of a large GPU's 100-odd multiprocessors. A constant, and
# not the device's own number, so that results do not depend on the device.
PROGRAMS = 512


def forward(
    x: Tensor, grid: Tensor, c: Tensor, u: Tensor | None, order: int, spline: Spline
) -> Tensor:
    """F_r: x (B, I), grid (I, G+1), c (O, I, K), u (B, I) or None -> (B, O)."""
    (B, I), (O, _, K) = x.shape, c.shape
    if 0 in (B, I, O):
        return x.new_zeros(B, O)
    first, values = _active(x, grid, u, order, spline)
    rows, columns = _tile(O, x.element_size())
    blocks = triton.cdiv(B, rows), triton.cdiv(O, columns)
    share = triton.cdiv(I, _shares(blocks[0] * blocks[1], I))
    y = x.new_empty(triton.cdiv(I, share), B, O)
    with torch.cuda.device_of(x):
        sum_inputs[(*blocks, len(y))](
            first, values, _outputs_last(c), y, B, I, K, O, share,
            N=spline.degree + 1, ROWS=rows, COLUMNS=columns, **FUSED,
        )  # fmt: skip
    return y.sum(0) if len(y) > 1 else y[0]


def pull(x: Tensor, grid: Tensor, c: Tensor, g: Tensor, order: int, spline: Spline) -> Tensor:
    """D_r: x (B, I), grid (I, G+1), c (O, I, K), g (B, O) -> (B, I)."""
    (B, I), (O, _, K) = x.shape, c.shape
    if 0 in (B, I, O):
        return x.new_zeros(B, I)
    first, values = _active(x, grid, None, order, spline)
    rows, columns = _tile(O, x.element_size())
    d = x.new_empty(B, I)
    with torch.cuda.device_of(x):
        sum_outputs[(triton.cdiv(B, rows) * I,)](
            first, values, _outputs_last(c), g.contiguous(), d, B, I, K, O,
            N=spline.degree + 1, ROWS=rows, COLUMNS=columns, **FUSED,
        )  # fmt: skip
    return d


def outer(
    x: Tensor, grid: Tensor, g: Tensor, u: Tensor | None, order: int, spline: Spline
) -> Tensor:
    """H_r: x (B, I), grid (I, G+1), g (B, O), u (B, I) or None -> (O, I, K)."""
    (B, I), O = x.shape, g.shape[1]
    G, N = grid.shape[1] - 1, spline.degree + 1
    if 0 in (B, I, O):
        return x.new_zeros(O, I, G + spline.degree)
    first, values = _active(x, grid, u, order, spline)
    keys, rows = first.sort(dim=1, stable=True)  # stable: the order of summation is the rows' own
    bounds = torch.arange(G + 1, dtype=keys.dtype, device=x.device).repeat(I, 1)
    starts = torch.searchsorted(keys, bounds)
    # One warp a program and, where there are that many, 128 outputs, four a lane: each value is then
    # read once for four products. 1 KB of sums a function leaves room for the k + 1 = 6 of degree 5.
    columns = min(128, triton.next_power_of_2(O))
    height = min(32, 1024 // x.element_size() // columns)
    blocks = I * G, triton.cdiv(O, columns)
    shares = _shares(blocks[0] * blocks[1], B // (G * 32))  # some 32 rows each, or it does not pay
    sums = x.new_empty(shares, I, G, N, O)
    with torch.cuda.device_of(x):
        sum_rows[(*blocks, shares)](
            rows, starts, values, g.contiguous(), sums, B, I, G, O, shares,
            N=N, WIDTH=triton.next_power_of_2(N), ROWS=height, COLUMNS=columns, num_warps=1,
            **FUSED,
        )  # fmt: skip
    total = sums.sum(0) if shares > 1 else sums[0]
    h = x.new_zeros(I, G + spline.degree, O)
    for n in range(N):
        h[:, n : n + G] += total[:, :, n]
    return h.permute(2, 0, 1).contiguous()


def _active(
    x: Tensor, grid: Tensor, u: Tensor | None, order: int, spline: Spline
) -> tuple[Tensor, Tensor]:
    """The first active function of each point, (I, B), and the k + 1 values, (I, k+1, B)."""
    (B, I), G, N = x.shape, grid.shape[1] - 1, spline.degree + 1
    if spline.uniform:
        table = even_pieces(spline.degree, order, spline.extrapolation, x.dtype, x.device)
    else:
        table = pieces(grid, spline.degree, order, spline.extrapolation).to(x.dtype)
    first = x.new_empty(I, B, dtype=torch.int32)
    values = x.new_empty(I, N, B)
    # x is read along the inputs and the values are written along the rows: a tile has room for both
    inputs = min(16, triton.next_power_of_2(I))
    blocks = triton.cdiv(B, 32) * triton.cdiv(I, inputs)
    with torch.cuda.device_of(x):
        active[(blocks,)](
            x.contiguous(), None if u is None else u.contiguous(), grid.contiguous(), table,
            first, values, B, I, G,
            N=N, ORDER=order, UNIFORM=spline.uniform, STEPS=G.bit_length(),
            HAS_U=u is not None, ROWS=32, INPUTS=inputs, **FUSED,
        )  # fmt: skip
    return first, values


def _outputs_last(c: Tensor) -> Tensor:
    """(O, I, K) -> (I, K, O), so that neighbouring lanes read neighbouring outputs."""
    return c.permute(1, 2, 0).contiguous()


def _tile(O: int, itemsize: int) -> tuple[int, int]:
    """Rows and outputs of a block of the gathering kernels, for four warps.

    64 outputs are a few whole cache lines of a coefficient row. 4 KB of sums, 8 or 4 a thread, keep a
    thread within 80 registers and without spills, so that many programs share a multiprocessor: they
    hide the wait for the gathers, and find one another's coefficient rows in its cache. For few
    outputs, more rows keep all lanes busy.
    """
    columns = min(64, triton.next_power_of_2(O))
    return min(128, 4096 // itemsize // columns), columns


def _shares(programs: int, most: int) -> int:
    """How many parts to cut a sum into so that ``programs`` of each part fill a GPU; 1..most."""
    return max(1, min(most, PROGRAMS // programs))
