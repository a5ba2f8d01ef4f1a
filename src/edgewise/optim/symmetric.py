"""Symmetric matrices at half the work: J'J by its upper triangle, and the solution by Cholesky.

torch has no symmetric product, and its Cholesky factor copies much. On one thread BLAS and LAPACK are
called through scipy, on torch's memory, from ``_WORTH`` columns on: loading scipy takes as long as
many small steps. Its BLAS has threads of its own, which wait for torch's and torch's for them: where
torch has more than one, torch computes.
"""

from __future__ import annotations

import torch
from torch import Tensor

_WORTH = 128
_LETTER = {torch.float32: "s", torch.float64: "d"}
# Rows and columns of a tile that is transposed inside the caches.
_TILE = 128
# A product of fewer columns than this gains nothing from being cut in halves.
_WHOLE = 512


def _by_lapack(A: Tensor) -> bool:
    alone = A.device.type == "cpu" and torch.get_num_threads() == 1
    return alone and A.dtype in _LETTER and A.shape[-1] >= _WORTH


def add_gram(H: Tensor, J: Tensor) -> None:
    """Add J'J to the upper triangle of H, in place: J (N, P), H (P, P) contiguous.

    What is below the diagonal has no meaning until ``mirror``.
    """
    if not _by_lapack(H):
        _add_halves(H, J)
    elif len(J):
        from scipy.linalg import blas

        syrk = getattr(blas, f"{_LETTER[H.dtype]}syrk")
        # Fortran reads rows as columns: J as J', and the upper triangle as the lower one.
        syrk(1.0, J.numpy().T, beta=1.0, c=H.numpy().T, lower=1, overwrite_c=1)


def _add_halves(H: Tensor, J: Tensor) -> None:
    """``add_gram`` by products of halves, without the one below the diagonal."""
    P = J.shape[1]
    if P < _WHOLE:
        H.addmm_(J.T, J)
        return
    half = P // 2
    left, right = J[:, :half], J[:, half:]
    _add_halves(H[:half, :half], left)
    _add_halves(H[half:, half:], right)
    H[:half, half:].addmm_(left.T, right)


def mirror(H: Tensor) -> None:
    """Copy the upper triangle of H (P, P) to the lower one, in place."""
    for start in range(0, len(H), _TILE):
        stop = start + _TILE
        H[stop:, start:stop] = H[start:stop, stop:].T
        tile = H[start:stop, start:stop]
        tile.copy_(tile.triu() + tile.triu(1).T)


def solve(A: Tensor, b: Tensor) -> Tensor | None:
    """x of A x = b for positive definite A (P, P) and b (P,); None if A is not. A is overwritten."""
    if not _by_lapack(A):
        factor, info = torch.linalg.cholesky_ex(A)
        return None if int(info) else torch.cholesky_solve(b[:, None], factor)[:, 0]
    from scipy.linalg import lapack

    letter = _LETTER[A.dtype]
    factor, info = getattr(lapack, f"{letter}potrf")(A.numpy().T, lower=1, overwrite_a=1, clean=0)
    if info != 0:
        return None
    x, _ = getattr(lapack, f"{letter}potrs")(factor, b.numpy(), lower=1)
    return torch.from_numpy(x)
