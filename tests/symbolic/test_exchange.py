"""Expressions in files: what is read back is the same tree, to the last bit of its values."""

import json

import pytest
import sympy
import torch
from formula_trees import NAMES, formulas
from hypothesis import given

from edgewise.errors import FormulaError
from edgewise.symbolic.evaluate import evaluate, symbol
from edgewise.symbolic.exchange import from_list, to_list

POINTS = dict(
    zip(NAMES, torch.rand(3, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))  # noqa: B905
)


@given(formulas)
def test_the_same_tree_comes_back(expression: sympy.Expr) -> None:
    read = from_list(json.loads(json.dumps(to_list(expression))))
    assert sympy.srepr(read, order="none") == sympy.srepr(expression, order="none")
    same = evaluate(read, POINTS), evaluate(expression, POINTS)
    assert torch.equal(torch.nan_to_num(same[0]), torch.nan_to_num(same[1]))


def test_what_sympy_would_tidy_stays_as_it_is() -> None:
    x = symbol("x")
    kept = sympy.Mul(2, sympy.Add(x, 1, evaluate=False), evaluate=False)
    assert from_list(to_list(kept)).args == kept.args


@pytest.mark.parametrize("function", ["gamma", "lowergamma"])
def test_a_function_outside_the_library_is_named(function: str) -> None:
    x = symbol("x")
    arguments = (x,) if function == "gamma" else (x, 2 * x)
    with pytest.raises(FormulaError, match=function):
        to_list(getattr(sympy, function)(*arguments))


@pytest.mark.parametrize(
    "tree",
    ["x", [], [1], ["system", ["symbol", "x"]], ["float", "seven"], ["rational", "1"], ["sin", 3]],
)
def test_lists_that_are_no_formula(tree: object) -> None:
    with pytest.raises(FormulaError):
        from_list(tree)
