"""A quotient's linearisation is that of its loss."""

import torch

from edgewise.optim.levenberg_marquardt import minimise
from edgewise.optim.quotient import Quotient


def test_gradient_and_curvature_are_autograds_and_coefficients_are_found_again():
    draw = torch.Generator().manual_seed(0)
    A, B = (torch.rand(60, n, generator=draw, dtype=torch.float64) for n in (3, 2))
    scale = 0.5 + torch.rand(60, generator=draw, dtype=torch.float64)
    truth = torch.tensor([1.0, -2.0, 3.0, 0.5, 1.5], dtype=torch.float64)

    def values(c):
        return (A @ c[:3]) / (1 + B @ c[3:])

    quotient = Quotient(A, B, values(truth), scale)
    c = torch.tensor([0.5, -1.0, 1.0, 0.2, 0.3], dtype=torch.float64)
    loss, H, g = quotient.linearised(c)
    J = torch.autograd.functional.jacobian(lambda v: scale * values(v), c)
    r = scale * (values(c) - values(truth))
    assert loss == quotient.loss(c)
    torch.testing.assert_close(loss, float(r.square().sum()))
    torch.testing.assert_close(H, J.T @ J)
    torch.testing.assert_close(g, J.T @ r)
    found = minimise(quotient.linearised, quotient.loss, c, tolerance=0.0).theta
    torch.testing.assert_close(found, truth, rtol=1e-8, atol=0.0)
