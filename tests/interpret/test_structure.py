"""What form a function has: on functions that are known, and on ones known up to an error."""

import pytest
import torch

from edgewise import KAN
from edgewise.errors import InputError, ShapeError
from edgewise.interpret import structure
from edgewise.interpret.identities import additive, derivatives, multiplicative, symmetry

FORMS = [
    (lambda x, y: torch.exp(torch.sin(3 * x) + y**2), "f1(x_1)*f2(x_2)"),
    (lambda x, y: torch.log(x + y**3), "f1(f2(x_1) + f3(x_2))"),
    (lambda x, y: torch.sin(x**2 + y**2), "f1(f2(x_1) + f3(x_2))"),
    (lambda x, y: (2 * x + 3 * y) ** 2, "f1(0.6667*x_1 + x_2)"),
    (lambda x, y: torch.sin(x**1.5 * y), "f1(x_1^1.5*x_2)"),
    (lambda x, y: 2 + x**2 * y, "2 + f1(x_1)*f2(x_2)"),
    (lambda x, y: x**3 / (torch.exp(x * y) - 1), "f1(x_1, x_2)"),
    (lambda x, y, z: x * y + torch.sin(z), "f1(x_1)*f2(x_2) + f3(x_3)"),
    (lambda x, y, z: (x - y) ** 2 * z, "f1(x_1 - x_2)*f2(x_3)"),
    (lambda x, y, z: torch.tanh(x * y / z), "f1((x_1*x_2)/x_3)"),
    (lambda x, y, z: 3 + (1 + x * y) * z, "3 + (c + f1(x_1)*f2(x_2))*f3(x_3)"),
    (lambda x, y, z: torch.cos(x + y) + 0 * z, "f1(x_1 + x_2)"),
    (
        lambda x, y, z: torch.sin((x**3 * y + y**2 + x) * z) + torch.log(z),
        "f1(f2(x_1, x_2), x_3)",
    ),
    (
        lambda x, y, z, w: ((x - y) ** 2 + (z - w) ** 2).sqrt(),
        "f1(f2(x_1 - x_2) + f3(x_3 - x_4))",
    ),
    (
        lambda x, y, z, w: x * y / (z * w**2),
        "f1(x_1)*f2(x_2)*f3(x_3)*f4(x_4)",
    ),
]


def rows(count, n=300, low=0.5, high=2.0, seed=0):
    unit = torch.rand(n, count, generator=torch.Generator().manual_seed(seed)).double()
    return low + (high - low) * unit


def of_columns(f):
    return lambda x: f(*x.unbind(1))


@pytest.mark.parametrize(("f", "form"), FORMS, ids=[form for _, form in FORMS])
def test_forms_of_known_functions(f, form):
    x = rows(f.__code__.co_argcount)
    found = structure(of_columns(f), x)
    assert str(found.tree) == form
    # the function's unit and the inputs' do not matter
    scaled = structure(lambda v: 1e6 * of_columns(f)(v), x)
    assert str(scaled.tree).replace("e+06", "") == form


@pytest.mark.parametrize("size", [1e-6, 1e-4])
def test_an_error_changes_no_verdict_when_it_is_told(size):
    """A smooth error of the size told: identities fail by less than is allowed, and only then."""
    for f, form in FORMS[:1] + FORMS[7:9]:
        x = rows(f.__code__.co_argcount)
        values = of_columns(f)(x)
        error = size * float(values.std())

        def wrong(v, f=f, error=error):
            return of_columns(f)(v) + error * torch.sin(7 * v[:, 0]) * torch.cos(8 * v[:, 1])

        assert str(structure(wrong, x, error=error).tree) == form
        exact = str(structure(wrong, x).tree)
        assert exact != form


def test_what_is_within_the_error_is_not_claimed():
    x = rows(2)
    nearly = of_columns(lambda x, y: torch.sin(x) + y**2 + 0.05 * x**2 * y)
    assert str(structure(nearly, x).tree) == "f1(x_1, x_2)"
    assert str(structure(nearly, x, error=0.01).tree) == "f1(x_1) + f2(x_2)"
    flat = of_columns(lambda x, y: torch.sin(x) + 1e-4 * y)
    assert str(structure(flat, x).tree) == "f1(x_1) + f2(x_2)"
    assert str(structure(flat, x, error=1e-3).tree) == "f1(x_1)"


def test_a_constant_depends_on_nothing():
    x = rows(2)
    assert str(structure(lambda x: 0 * x[:, 0] + 1.5, x).tree) == "1.5"
    assert str(structure(lambda x: 1.5 + 1e-3 * x[:, 0] * x[:, 1], x, error=0.1).tree) == "1.502"


def test_identities_are_those_of_the_definition():
    """H_ij and f H_ij - f_i f_j by hand, and the symmetries' own."""
    x = rows(2, n=50)
    d = derivatives(of_columns(lambda x, y: x**2 * y + y), x, error=1e-3)
    u, v = x.unbind(1)
    s, spread = x.std(0), d.value.std()
    torch.testing.assert_close(d.gradient, torch.stack([2 * u * v, u**2 + 1], dim=1))
    torch.testing.assert_close(d.hessian[:, 0, 1], 2 * u)
    most = (2 * u).square().sort().values[:47]  # without the largest twentieth
    left = most.mean().sqrt() * s[0] * s[1] / spread
    assert additive(d)[0].left == pytest.approx(float(left))
    assert multiplicative(d)[0].left < 1e-14
    assert {t.test for t in symmetry(d, 0, 1) if t.holds} == set()
    ratio = derivatives(of_columns(lambda x, y: torch.exp(x / y)), x)
    held = [t for t in symmetry(ratio, 0, 1) if t.holds]
    assert [t.test for t in held] == ["x/y", "x^a*y"]
    assert held[1].ratio == pytest.approx(-1)


def test_the_tree_of_a_trained_model():
    x = rows(3, 250, -1, 1)
    y = ((x[:, 0] - x[:, 1]).square() + torch.sin(2 * x[:, 2]))[:, None]
    model = KAN([3, 3, 1], grid=5, seed=1, input_names=["a", "b", "c"])
    model.fit((x, y), "LM", steps=30)
    found = model.structure()
    assert found.error == pytest.approx(float((model(x) - y).detach().square().mean().sqrt()))
    assert str(found.tree) == "f1(a - b) + f2(c)"
    assert {(test.test, names) for test, names in found.findings} == {
        ("sum", ("a", "c")),
        ("sum", ("b", "c")),
        ("x - y", ("a", "b")),
    }
    assert str(found).splitlines()[2:] == [
        "sum",
        "  a function of",
        "    . - .",
        "      a",
        "      b",
        "  a function of",
        "    c",
    ]


@pytest.mark.parametrize(
    ("f", "x", "error"),
    [
        (lambda x: x, rows(2), ShapeError),
        (lambda x: torch.log(x[:, 0] - 1), rows(2), InputError),
        (lambda x: x.sum(1), rows(11), InputError),
    ],
)
def test_functions_must_make_sense(f, x, error):
    with pytest.raises(error):
        structure(f, x)


def test_a_product_may_pass_through_zero():
    grid = torch.arange(-5, 6).double() / 5
    x = torch.cartesian_prod(grid, grid)
    assert str(structure(lambda x: torch.sin(3 * x[:, 0] * x[:, 1]), x).tree) == "f1(x_1*x_2)"


def test_rows_without_derivatives_are_told():
    grid = torch.arange(-5, 6).double() / 5
    with pytest.raises(
        InputError, match=r"derivatives in 1 of 121 rows, the first at \[0\.0, 0\.0\]"
    ):
        structure(lambda x: x.norm(dim=1), torch.cartesian_prod(grid, grid))
