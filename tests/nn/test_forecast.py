"""TKAT: the parts of its formula, the shares of its variables, and a rule that it must learn."""

import pytest
import torch
from nn_examples import generator, normal
from torch.nn.functional import elu

from edgewise.errors import InputError, ShapeError
from edgewise.nn.forecast import TKAT, GatedResidual, VariableSelection

CLOSE = {"rtol": 1e-12, "atol": 1e-12}


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def test_a_gated_residual_network_is_its_formula():
    for size in (3, 5):
        net, a = GatedResidual(5, size, 4, dtype=torch.float64), normal(7, 5)
        value, gate = net.gates(elu(net.inner(a))).chunk(2, -1)
        total = net.skip(a) + value * torch.sigmoid(gate)
        centred = total - total.mean(-1, keepdim=True)
        expected = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        torch.testing.assert_close(net(a), expected, **CLOSE)


def test_variables_are_weighed():
    net, x = VariableSelection(3, 4, dtype=torch.float64), normal(2, 5, 3)
    selected, shares = net(x)
    assert selected.shape == (2, 5, 4) and shares.shape == (2, 5, 3) and (shares > 0).all()
    torch.testing.assert_close(shares.sum(-1), torch.ones(2, 5, dtype=torch.float64), **CLOSE)
    parts = [
        net.maps[v](x[..., [v]] * net.weight[v] + net.bias[v]) * shares[..., [v]] for v in range(3)
    ]
    torch.testing.assert_close(selected, sum(parts), **CLOSE)


@pytest.mark.parametrize("future_size", [0, 2])
def test_shapes_rows_and_gradients(future_size):
    net = TKAT(3, 4, 8, 2, future_size=future_size, inner_size=2, dtype=torch.float64)
    x, future = normal(2, 5, 3), normal(2, 4, 2, seed=1) if future_size else None
    y = net(x, future)
    assert y.shape == (2, 4)
    torch.testing.assert_close(net(x[:1], None if future is None else future[:1]), y[:1], **CLOSE)
    torch.testing.assert_close(net.selection(x).sum(-1), torch.ones(2, 5).double(), **CLOSE)
    inputs = [x] if future is None else [x, future]
    used = [p for p in net.parameters() if p.shape[-1:] != (4,)]  # not of symbolic edges
    assert torch.autograd.gradcheck(
        lambda *t: net(*t[: len(inputs)]),
        (*[t.requires_grad_() for t in inputs], *used),
        fast_mode=True,
    )
    y.square().sum().backward()
    assert all(p.grad is not None for p in used)


def test_every_step_of_the_past_and_what_is_known_ahead_matters():
    net = TKAT(1, 3, 8, 2, future_size=1, dtype=torch.float64)
    x, future = normal(1, 6, 1).requires_grad_(), normal(1, 3, 1).requires_grad_()
    net(x, future)[0, 0].backward()
    assert (x.grad != 0).all() and (future.grad != 0).all()


def test_it_learns_a_rule_two_steps_ahead():
    """x_t = the other variable two steps before: nothing but reading the past can tell."""
    signal = torch.randn(96, 8, generator=generator())
    x = torch.stack([signal, torch.randn(96, 8, generator=generator(1))], -1)
    y = signal[:, -2:]
    net = TKAT(2, 2, 8, 2, inner_size=2)
    adam = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(60):
        adam.zero_grad()
        loss = (net(x) - y).square().mean()
        loss.backward()
        adam.step()
    assert loss < 0.3 * y.var()


def test_what_does_not_fit_is_said():
    net = TKAT(2, 3, 8, 2)
    with pytest.raises(ShapeError, match=r"\(B, T, 2\)"):
        net(torch.zeros(5, 2))
    with pytest.raises(ShapeError, match="future_size=0"):
        net(torch.zeros(1, 5, 2), torch.zeros(1, 3, 1))
    with pytest.raises(ShapeError, match=r"None; expected \(1, 3, 1\)"):
        TKAT(2, 3, 8, 2, future_size=1)(torch.zeros(1, 5, 2))
    with pytest.raises(InputError, match="horizon"):
        TKAT(2, 0)
    with pytest.raises(InputError, match="multiple of nhead"):
        TKAT(2, 3, 8, 3)
