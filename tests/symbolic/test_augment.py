"""Auxiliary variables: columns computed from the inputs."""

import pytest
import sympy
import torch

from edgewise import KAN, create_dataset
from edgewise.errors import DataError, FormulaError, InputError
from edgewise.symbolic import augment

DATA = create_dataset(
    lambda x: (x[:, [0]] ** 2 + x[:, [1]] ** 2).sqrt(), ranges=(0.5, 2), train_num=80, test_num=50
)


def test_columns_stand_behind_the_inputs_in_train_and_test():
    columns = {
        "r": "sqrt(x_1^2 + x_2^2)",
        "s": "r/2",
        "t": sympy.Symbol("x_1") * 3,
        "u": lambda x: x.sum(1),
    }
    wider = augment(DATA, columns)
    assert wider.input_names == ("x_1", "x_2", "r", "s", "t", "u")
    for rows, x in ((wider.train, DATA["train_input"]), (wider.test, DATA["test_input"])):
        r = x.norm(dim=1)
        expected = torch.stack([x[:, 0], x[:, 1], r, r / 2, 3 * x[:, 0], x.sum(1)], dim=1)
        torch.testing.assert_close(rows.x, expected)
    only = augment(DATA, {"r": columns["r"]}, keep=False)
    assert only.input_names == ("r",)
    torch.testing.assert_close(only.train.x[:, 0], DATA["train_input"].norm(dim=1))


def test_the_right_variable_makes_the_law_plain():
    model = KAN([1, 1])
    model.fit(augment(DATA, {"r": "sqrt(x_1^2 + x_2^2)"}, keep=False), "LM", steps=20)
    model.auto_symbolic(lib=["x"])
    assert str(model.symbolic_formula()) == "r"


@pytest.mark.parametrize(
    ("columns", "error"),
    [
        ({"x_1": "x_2"}, InputError),
        ({"r": "x_3 + 1"}, FormulaError),
        ({"r": "log(-x_1)"}, DataError),
        ({"r": lambda x: x.mean()}, InputError),
    ],
)
def test_columns_must_make_sense(columns, error):
    with pytest.raises(error):
        augment(DATA, columns)
