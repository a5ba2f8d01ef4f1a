"""Formula -> network -> splines -> formula: the joint search gives back what was put in."""

import pytest
import sympy
import torch

from edgewise.errors import FormulaError
from edgewise.model import KAN
from edgewise.nn import Network
from edgewise.problems.dataset import Samples, create_dataset
from edgewise.symbolic.compose import network_formulas
from edgewise.symbolic.joint import auto_symbolic, edge_suggestions, spline_edges
from edgewise.symbolic.primitives import PRIMITIVES
from edgewise.train import Auto, fit


def fitted(width: list, function, seed: int = 0) -> tuple[Network, Samples]:
    generator = torch.Generator().manual_seed(5)
    x = 2 * torch.rand(600, width[0], generator=generator, dtype=torch.float64) - 1
    y = function(x)
    model = Network(width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return fit(model, (x, y), solver=Auto(steps=80, warm_up=150, restarts=2)).model, Samples(x, y)


def test_an_exact_formula_comes_back_exactly() -> None:
    model, data = fitted(
        [2, 1, 1], lambda x: torch.exp(torch.sin(torch.pi * x[:, [0]]) + x[:, [1]] ** 2)
    )
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    found = auto_symbolic(model, data)
    x1, x2 = sympy.symbols("x_1 x_2", real=True)
    assert network_formulas(found.model)[0] == sympy.exp(sympy.sin(sympy.pi * x1) + x2**2)
    assert found.rmse < 1e-12
    assert found.chosen == {(0, 0, 0): "sin", (0, 1, 0): "x^2", (1, 0, 0): "exp"}
    assert "sin" in str(found)
    for name, value in model.state_dict().items():  # the model given is not changed
        assert torch.equal(value, kept[name])


def test_formula_and_symbolic_network_agree_to_rounding() -> None:
    model, data = fitted([2, 1], lambda x: 0.37 * torch.tanh(2.2 * x[:, [0]]) + 3 * x[:, [1]])
    found = auto_symbolic(model, data)
    from edgewise.symbolic.formula import Formula

    formula = Formula(network_formulas(found.model)[0], ("x_1", "x_2"))
    ours = found.model(data.x).detach()[:, 0]
    theirs = torch.from_numpy(formula.predict(data.x.numpy()))
    assert torch.allclose(ours, theirs, rtol=1e-12, atol=1e-12 * float(ours.abs().max()))


def test_two_outputs_share_their_inner_edges() -> None:
    def both(x: torch.Tensor) -> torch.Tensor:
        u = torch.sin(2 * x[:, [0]]) + x[:, [1]]
        return torch.cat([torch.exp(u), u**2 + 1], dim=1)

    model, data = fitted([2, 1, 2], both)
    found = auto_symbolic(model, data)
    assert found.rmse < 1e-8
    first, second = network_formulas(found.model)
    assert first.has(sympy.sin) and second.has(sympy.sin)


def test_only_the_primitives_allowed_are_used() -> None:
    model, data = fitted([1, 1], lambda x: torch.sin(2 * x))
    found = auto_symbolic(model, data, ["x", "x^2", "x^3"])
    assert set(found.chosen.values()) <= {"x", "x^2", "x^3"}


def test_no_primitive_that_fits_is_an_error_that_names_the_edge() -> None:
    model, data = fitted([1, 1], lambda x: x**3)
    with pytest.raises(FormulaError, match=r"\(0, 0, 0\)"):
        auto_symbolic(model, data, [_nowhere()])


def _nowhere():
    from dataclasses import replace

    def nan(u: torch.Tensor) -> torch.Tensor:
        return torch.full_like(u, torch.nan)

    return replace(PRIMITIVES["log"], name="nowhere", torch=nan, derivative=nan)


def test_edges_already_fixed_stay() -> None:
    model, data = fitted([2, 1], lambda x: torch.sin(3 * x[:, [0]]) + x[:, [1]] ** 2)
    edge = (0, 0, 0)
    suggestion = edge_suggestions(model, edge, data.x, [PRIMITIVES["sin"]])[0]
    model.layers[0].fix_symbolic(0, 0, PRIMITIVES["sin"], suggestion.affine)
    assert spline_edges(model) == [(0, 1, 0)]
    found = auto_symbolic(model, data)
    assert list(found.chosen) == [(0, 1, 0)]
    assert found.rmse < 1e-10


def test_kan_verbs_fix_by_hand_and_take_back() -> None:
    x = torch.linspace(-1, 1, 300, dtype=torch.float64)[:, None]
    model = KAN([1, 1], seed=0)
    model.fit((x, torch.sin(2 * x)), steps=60)
    best = model.suggest_symbolic(0, 0, 0)[0]
    assert best.primitive.name == "sin"
    put = model.fix_symbolic(0, 0, 0, "sin")
    assert put.r2 > 0.999
    model.fit(steps=60)
    model.auto_symbolic()
    assert model.symbolic_formula() == sympy.sin(2 * sympy.Symbol("x_1", real=True))
    model.unfix_symbolic(0, 0, 0)
    with pytest.raises(FormulaError, match="auto_symbolic"):
        model.symbolic_formula()


def test_held_out_rows_are_reported_and_constants_have_errors() -> None:
    def noisy(x: torch.Tensor) -> torch.Tensor:
        generator = torch.Generator().manual_seed(len(x))
        noise = torch.randn(len(x), 1, generator=generator, dtype=torch.float64)
        return 0.713 * torch.sin(2.2 * x) + 0.01 * noise

    data = create_dataset(noisy, 1, train_num=400, test_num=200)
    model = KAN([1, 1], seed=0)
    model.fit(data, steps=60)
    found = model.auto_symbolic(["x", "sin", "x^3"])
    assert found.held_out is not None
    error, distance = found.held_out
    assert 0.008 < error < 0.012 and distance < 0.01
    assert "held out" in str(found)
    constants = model.formula().constants
    assert constants and all(0 < c.error < 0.1 for c in constants)
    near = min(constants, key=lambda c: abs(c.value - 0.713))
    assert abs(near.value - 0.713) < 4 * near.error
