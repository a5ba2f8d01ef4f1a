"""The form of a function becomes a network of that form: as many curves as it has unknown functions."""

import pytest
import torch

from edgewise import KAN
from edgewise.errors import InputError
from edgewise.interpret import Node, structure
from edgewise.symbolic import compile_structure

CASES = [
    (lambda a, b, c: 3 + (1 + a * b) * c, [(3, 0), (1, 1), (0, 1)], 3),
    (lambda a, b, c: torch.sin((a - b) ** 2 + c**2), [(3, 0), (2, 0), (1, 0), (1, 0)], 3),
    (lambda a, b, c: torch.exp(a * b) + c**2 - 1, [(3, 0), (1, 1), (1, 0)], 2),
    (lambda a, b, c: torch.tanh(a**1.5 * b) + 0 * c, [(3, 0), (0, 1), (1, 0)], 1),
]


def rows(n=200):
    return 0.5 + 1.5 * torch.rand(n, 3, generator=torch.Generator().manual_seed(0)).double()


@pytest.mark.parametrize(("f", "width", "curves"), CASES)
def test_a_network_has_the_form_and_can_be_trained(f, width, curves):
    x = rows()
    y = f(*x.unbind(1))[:, None]
    found = structure(lambda x: f(*x.unbind(1)), x, names=["a", "b", "c"])
    model = compile_structure(found, ["a", "b", "c"], network=KAN)
    assert type(model) is KAN and model.width == width
    assert sum(int(layer.mask.sum()) for layer in model.layers) == curves
    again = model.clone()
    with torch.no_grad():  # whatever the curves are, the form is the same
        for layer in again.layers:
            layer.coef += 0.3 * torch.rand(
                layer.coef.shape, generator=torch.Generator().manual_seed(1)
            )
    if curves > 2:
        seen = structure(again, 0.2 * x, names=["a", "b", "c"])
        assert {f.test for f, _ in found.findings} <= {f.test for f, _ in seen.findings}
    before = float((model(x) - y).detach().square().mean())
    model.fit((x, y), "LM", steps=5)
    assert float((model(x) - y).detach().square().mean()) < before


def test_the_few_curves_get_their_names():
    x = rows(80)
    y = (2 * x[:, 0] * x[:, 1] + x[:, 2].exp() - 1)[:, None]
    model = compile_structure(
        structure(lambda x: 2 * x[:, 0] * x[:, 1] + x[:, 2].exp() - 1, x), ["x_1", "x_2", "x_3"],
        network=KAN,
    )  # fmt: skip
    model.fit((x, y), "LM", steps=20)
    model.auto_symbolic(lib=["x", "exp"], beam=1)
    assert str(model.symbolic_formula()) == "2*x_1*x_2 + exp(x_3) - 1"


def test_what_has_no_form_is_refused():
    whole = Node("function", "", (Node("input", "u"), Node("input", "v")))
    with pytest.raises(InputError, match="several variables"):
        compile_structure(whole, ["u", "v"])
    with pytest.raises(InputError, match=r"inputs \['v'\]"):
        compile_structure(Node("curve", "", (Node("input", "v"),)), ["u"])
