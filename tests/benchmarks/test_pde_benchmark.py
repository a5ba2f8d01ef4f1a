"""The benchmark of differential equations: its references are solutions, and the short form runs."""

from math import pi

import pytest
import torch


@pytest.fixture
def exact(module):
    return module("pde_references")


@pytest.mark.slow
def test_the_short_form_prints_a_table(module, capsys, tmp_path):
    assert module("pde").main(["--short", "--results", str(tmp_path / "none.jsonl")]) == 0
    printed = capsys.readouterr().out
    assert "| heat | [2,[0,2],1] |" in printed and "| lotka-volterra |" in printed
    assert not list(tmp_path.iterdir())


def test_burgers_reference_solves_the_equation(exact):
    """By differences of order 2, away from the front."""
    h = 1e-3
    t, x = 0.2, torch.linspace(0.2, 0.8, 7, dtype=torch.float64)

    def u(dt, dx):
        return exact.burgers(torch.stack([torch.full_like(x, t + dt), x + dx], dim=1))

    u_t = (u(h, 0) - u(-h, 0)) / (2 * h)
    u_x = (u(0, h) - u(0, -h)) / (2 * h)
    u_xx = (u(0, h) - 2 * u(0, 0) + u(0, -h)) / h**2
    left = u_t + u(0, 0) * u_x - exact.NU * u_xx
    assert float(left.abs().max()) < 1e-3 * float(u_t.abs().max())
    start = exact.burgers(torch.stack([torch.full_like(x, 1e-9), x], dim=1))
    torch.testing.assert_close(start, -torch.sin(pi * x), rtol=0, atol=1e-6)


def test_allen_cahn_reference_does_not_depend_on_its_steps(exact):
    p, fine = exact.allen_cahn(256, 400, rows=5)
    _, coarse = exact.allen_cahn(256, 200, rows=5)
    assert p.shape == (5 * 256, 2)
    torch.testing.assert_close(fine, coarse, rtol=0, atol=1e-7)


def test_heat_modes_solve_the_equation(exact):
    p = torch.rand(9, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    p.requires_grad_()
    u = exact.modes(p, 0.1, 0.7)
    (slopes,) = torch.autograd.grad(u.sum(), p, create_graph=True)
    (bend,) = torch.autograd.grad(slopes[:, 1].sum(), p)
    torch.testing.assert_close(slopes[:, 0], 0.1 * bend[:, 1] - 0.7 * u)
