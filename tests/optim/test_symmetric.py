"""Symmetric products and solutions against the plain ones, by LAPACK and by torch."""

import pytest
import torch

from edgewise.optim import symmetric

SIZES = [1, 5, symmetric._WORTH - 1, symmetric._WORTH, symmetric._WORTH + 1, 1100]
every_size = pytest.mark.parametrize("P", SIZES)


@pytest.fixture(autouse=True, params=[1, 2], ids=lambda count: f"{count} threads")
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


def normal(*shape, dtype=torch.float64, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=draw, dtype=torch.float64).to(dtype)


@every_size
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_products_add_up_to_the_plain_one(P, dtype):
    J = normal(70, P, dtype=dtype)
    H = torch.zeros(P, P, dtype=dtype)
    for part in J.split(40):
        symmetric.add_gram(H, part)
    symmetric.mirror(H)
    assert torch.equal(H, H.T)
    plain = J.double().T @ J.double()
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(H.double(), plain, rtol=0, atol=20 * eps * float(plain.max()))


@every_size
def test_no_rows_add_nothing_and_columns_may_be_part_of_a_larger_array(P):
    H = torch.zeros(P, P, dtype=torch.float64)
    symmetric.add_gram(H, normal(0, P))
    assert not H.any()
    wide = normal(20, P + 3)
    before = wide.clone()
    symmetric.add_gram(H, wide[:, 2:-1])
    symmetric.mirror(H)
    torch.testing.assert_close(H, before[:, 2:-1].T @ before[:, 2:-1], rtol=1e-12, atol=1e-12)
    assert torch.equal(wide, before)


@every_size
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_solution_solves(P, dtype):
    J = normal(2 * P, P, dtype=dtype)
    A = J.T @ J / P + torch.eye(P, dtype=dtype)
    b = normal(P, dtype=dtype, seed=1)
    kept = b.clone()
    x = symmetric.solve(A.clone(), b)
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(A @ x, b, rtol=0, atol=1e3 * eps)
    assert x.dtype == dtype and torch.equal(b, kept)


@every_size
def test_what_is_not_positive_definite_has_no_solution(P):
    A = torch.eye(P, dtype=torch.float64)
    A[-1, -1] = -1.0
    assert symmetric.solve(A, torch.ones(P, dtype=torch.float64)) is None
