"""The Triton kernels of the spline ops; ``triton.py`` beside this file says why they are cut so.

Shapes: first (I, B), values (I, N, B) with N = k + 1, c (I, K, O), the rest as in ``contract.py``, all
contiguous. Offsets that may pass 2^31 are computed in int64.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def active(
    x, u, knots, table, first, values, B, I, G,
    N: tl.constexpr, ORDER: tl.constexpr, UNIFORM: tl.constexpr, STEPS: tl.constexpr,
    HAS_U: tl.constexpr, ROWS: tl.constexpr, INPUTS: tl.constexpr,
):  # fmt: skip
    """first (I, B) and values (I, N, B) of the N = k + 1 active functions; ROWS x INPUTS points."""
    tiles = tl.cdiv(I, INPUTS)
    b = (tl.program_id(0) // tiles * ROWS + tl.arange(0, ROWS))[:, None].to(tl.int64)
    i = (tl.program_id(0) % tiles * INPUTS + tl.arange(0, INPUTS))[None, :].to(tl.int64)
    live = (b < B) & (i < I)
    point = tl.load(x + b * I + i, mask=live, other=0.0)
    own = knots + i * (G + 1)
    lower = tl.load(own, mask=i < I, other=0.0)
    upper = tl.load(own + G, mask=i < I, other=1.0)
    left, right = point < lower, point > upper

    # the interval; a NaN fails every comparison and ends in the first one
    if UNIFORM:
        rate = G / (upper - lower)
        position = (point - lower) * rate
        position = tl.where(position > 0, position, 0.0)
        m = tl.where(position < G - 1, position, G - 1).to(tl.int32)
        # by rounding a point may fall on the wrong side of a knot
        late = (m < G - 1) & (point >= tl.load(own + m + 1, mask=live, other=0.0))
        early = (m > 0) & (point < tl.load(own + m, mask=live, other=0.0))
        m = m + late.to(tl.int32) - early.to(tl.int32)
    else:
        m = tl.zeros([ROWS, INPUTS], dtype=tl.int32)
        beyond = m + G
        for _ in tl.static_range(STEPS):
            middle = (m + beyond) // 2
            reached = point >= tl.load(own + middle, mask=live, other=0.0)
            m = tl.where(reached, middle, m)
            beyond = tl.where(reached, beyond, middle)
    tl.store(first + i * B + b, m, mask=live)

    # the local coordinate and the class's polynomials
    start = tl.load(own + m, mask=live, other=0.0)
    if UNIFORM:
        t = (point - tl.where(right, upper, start)) * rate
        piece = table + tl.where(left, 0, tl.where(right, 2, 1)) * (N * N)
    else:
        width = tl.load(own + m + 1, mask=live, other=1.0) - start
        width = tl.where(left | right, (upper - lower) / G, width)
        t = (point - tl.where(right, upper, start)) / width
        piece = table + (i * (G + 2) + tl.where(left, 0, tl.where(right, G + 1, m + 1))) * (N * N)
    t = tl.where(left | right, t, t - 0.5)

    if HAS_U:
        factor = tl.load(u + b * I + i, mask=live, other=0.0)
    else:
        factor = tl.full([ROWS, INPUTS], 1.0, dtype=t.dtype)
    if UNIFORM:
        for _ in tl.static_range(ORDER):  # the table is in units of h
            factor = factor * rate
    for n in tl.static_range(N):
        # Horner through every power, the zero ones too: NaN and infinity then always give NaN
        value = tl.load(piece + ((N - 1) * N + n), mask=live, other=0.0)
        for p in tl.static_range(1, N):
            value = value * t + tl.load(piece + ((N - 1 - p) * N + n), mask=live, other=0.0)
        tl.store(values + (i * N + n) * B + b, value * factor, mask=live)


@triton.jit
def sum_inputs(
    first, values, c, y, B, I, K, O, share,
    N: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """y[s, b, o] = sum of values[i, n, b] c[i, first + n, o] over the s-th share of the inputs."""
    b = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    o = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    s = tl.program_id(2)
    begin = s * share
    end = tl.minimum(begin + share, I)
    first += begin.to(tl.int64) * B
    values += begin.to(tl.int64) * N * B
    c += begin.to(tl.int64) * K * O
    total = tl.zeros([ROWS, COLUMNS], dtype=y.dtype.element_ty)
    for _ in range(begin, end):
        m = tl.load(first + b, mask=b < B, other=0)
        row = c + m[:, None] * O + o[None, :]
        for n in tl.static_range(N):
            value = tl.load(values + n * B + b, mask=b < B, other=0.0)
            total += value[:, None] * tl.load(row + n * O, mask=(o < O)[None, :], other=0.0)
        first += B
        values += N * B
        c += K * O
    at = (s.to(tl.int64) * B + b)[:, None] * O + o[None, :]
    tl.store(y + at, total, mask=(b < B)[:, None] & (o < O)[None, :])


@triton.jit
def sum_outputs(
    first, values, c, g, d, B, I, K, O,
    N: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """d[b, i] = sum over o and n of g[b, o] values[i, n, b] c[i, first + n, o]."""
    tiles = tl.cdiv(B, ROWS)
    i = (tl.program_id(0) // tiles).to(tl.int64)
    b = tl.program_id(0) % tiles * ROWS + tl.arange(0, ROWS)
    m = tl.load(first + i * B + b, mask=b < B, other=0)
    total = tl.zeros([ROWS, COLUMNS], dtype=d.dtype.element_ty)
    for begin in range(0, O, COLUMNS):
        o = begin + tl.arange(0, COLUMNS)
        row = c + i * K * O + m[:, None] * O + o[None, :]
        phi = tl.zeros([ROWS, COLUMNS], dtype=d.dtype.element_ty)
        for n in tl.static_range(N):
            value = tl.load(values + (i * N + n) * B + b, mask=b < B, other=0.0)
            phi += value[:, None] * tl.load(row + n * O, mask=(o < O)[None, :], other=0.0)
        live = (b < B)[:, None] & (o < O)[None, :]
        total += phi * tl.load(g + b[:, None].to(tl.int64) * O + o[None, :], mask=live, other=0.0)
    tl.store(d + b.to(tl.int64) * I + i, tl.sum(total, axis=1), mask=b < B)


@triton.jit
def sum_rows(
    rows, starts, values, g, sums, B, I, G, O, shares,
    N: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """sums[s, i, m, n, o] = sum of values[i, n, b] g[b, o] over the s-th share of the rows b whose
    first function is m: rows[i, starts[i, m] : starts[i, m + 1]]. WIDTH is N as a power of two."""
    i = (tl.program_id(0) // G).to(tl.int64)
    m = tl.program_id(0) % G
    o = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    s = tl.program_id(2)
    n = tl.arange(0, WIDTH)
    begin = tl.load(starts + i * (G + 1) + m)
    length = tl.load(starts + i * (G + 1) + m + 1) - begin
    end = begin + length * (s + 1) // shares
    begin += length * s // shares
    total = tl.zeros([WIDTH, ROWS, COLUMNS], dtype=sums.dtype.element_ty)
    for at in range(begin, end, ROWS):
        row = at + tl.arange(0, ROWS)
        live = row < end
        b = tl.load(rows + i * B + row, mask=live, other=0)
        kept = (n < N)[:, None] & live[None, :]
        value = tl.load(values + (i * N + n)[:, None] * B + b[None, :], mask=kept, other=0.0)
        kept = live[:, None] & (o < O)[None, :]
        slope = tl.load(g + b[:, None] * O + o[None, :], mask=kept, other=0.0)
        total += value[:, :, None] * slope[None, :, :]
    at = ((s * I + i) * G + m) * N + n
    kept = (n < N)[:, None] & (o < O)[None, :]
    tl.store(sums + at[:, None] * O + o[None, :], tl.sum(total, axis=1), mask=kept)
