"""The univariate functions that an edge can become: one record each, for training and print."""

import difflib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from . import elementary as f

Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Primitive:
    """A function f of one variable, as an edge c f(a x + b) + d uses it.

    Attributes:
        name: how users and files call it.
        torch: u -> f(u), elementwise; NaN outside the domain.
        derivative: u -> f'(u), elementwise; NaN outside the domain.
        sympy: expression -> the expression f(expression).
        domain: u -> bool mask, true where f is defined and real.
        cost: complexity in the choice between functions; x costs 1.

    A record never changes: copies of a model share it, and the built-in ones pickle by name.
    """

    name: str
    torch: Map
    derivative: Map
    sympy: Callable[[Any], Any]
    domain: Map
    cost: float

    def __deepcopy__(self, memo: dict) -> "Primitive":
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:
        if _built_in(self.name) is self:
            return _built_in, (self.name,)
        return super().__reduce_ex__(protocol)

    def __repr__(self) -> str:
        return f"Primitive({self.name!r}, cost={self.cost})"


@dataclass(frozen=True)
class SympyFunction:
    """Builds `sympy.<name>(expression)`; sympy is loaded at the first call."""

    name: str

    def __call__(self, expression: Any) -> Any:
        import sympy

        return getattr(sympy, self.name)(expression)


def _power_cost(exponent: Fraction | float) -> int:
    if isinstance(exponent, float):
        return 5
    if exponent.denominator == 1:
        # pykan's scale: x 1, squares 2, cubes to fifth powers 3; 1/x 2, 1/x^n n.
        n = exponent.numerator
        return {1: 1, 2: 2, 3: 3, 4: 3, 5: 3, -1: 2, -2: 2}.get(n, abs(n))
    return 2 if abs(exponent) == Fraction(1, 2) else 4


def _power_name(exponent: Fraction | float) -> str:
    if isinstance(exponent, float):
        return f"x^{exponent!r}"
    special = {
        Fraction(1): "x",
        Fraction(-1): "1/x",
        Fraction(1, 2): "sqrt",
        Fraction(-1, 2): "1/sqrt(x)",
        Fraction(3, 2): "x^1.5",
    }
    if exponent in special:
        return special[exponent]
    if exponent.denominator == 1:
        n = exponent.numerator
        return f"x^{n}" if n > 0 else f"1/x^{-n}"
    return f"x^({exponent})"


@lru_cache(maxsize=1024)
def power(exponent: Fraction | float | int) -> Primitive:
    """The record of x^p, real powers only: x >= 0 unless p is an integer, x != 0 if p < 0.

    An int or Fraction is kept as a rational, in sympy too; a float stays a float, unless it is
    a whole number or +-1/2 or 3/2, which have records of their own.
    """
    if not math.isfinite(exponent) or exponent == 0:
        raise InputError(f"the power of x must be finite and not 0, but it is {exponent}")
    if not isinstance(exponent, float) or 2 * exponent in (-1.0, 1.0, 3.0):
        exponent = Fraction(exponent)
    elif exponent.is_integer():
        exponent = Fraction(int(exponent))
    law = f.Power(exponent)
    return Primitive(
        _power_name(exponent), law, law.derivative, law.sympy, law.domain, _power_cost(exponent)
    )


def _table() -> dict[str, Primitive]:
    powers = [1, 2, 3, 4, 5, -1, -2, -3, -4, -5]
    roots = [Fraction(p, q) for p, q in ((1, 2), (3, 2), (-1, 2), (1, 3), (2, 3))]
    records = [power(Fraction(p)) for p in powers] + [power(p) for p in roots]
    for name, value, slope, head, domain, cost in (
        ("exp", torch.exp, torch.exp, "exp", f.reals, 2),
        ("log", f.log, f.log_slope, "log", f.positive, 2),
        ("abs", torch.abs, f.sign, "Abs", f.reals, 3),
        ("sin", torch.sin, torch.cos, "sin", f.reals, 2),
        ("cos", torch.cos, f.cos_slope, "cos", f.reals, 2),
        ("tan", torch.tan, f.tan_slope, "tan", f.reals, 3),
        ("tanh", torch.tanh, f.tanh_slope, "tanh", f.reals, 3),
        ("sgn", f.sign, f.zero, "sign", f.reals, 3),
        ("arcsin", torch.arcsin, f.arcsin_slope, "asin", f.unit, 4),
        ("arccos", torch.arccos, f.arccos_slope, "acos", f.unit, 4),
        ("arctan", torch.arctan, f.arctan_slope, "atan", f.reals, 4),
        ("arctanh", f.arctanh, f.arctanh_slope, "atanh", f.open_unit, 4),
        ("sinh", torch.sinh, torch.cosh, "sinh", f.reals, 3),
        ("cosh", torch.cosh, torch.sinh, "cosh", f.reals, 3),
        ("arcsinh", torch.arcsinh, f.arcsinh_slope, "asinh", f.reals, 4),
        ("arccosh", torch.arccosh, f.arccosh_slope, "acosh", f.from_one, 4),
    ):
        records.append(Primitive(name, value, slope, SympyFunction(head), domain, cost))
    records.append(
        Primitive("gaussian", f.gaussian, f.gaussian_slope, f.sympy_gaussian, f.reals, 3)
    )
    records.append(Primitive("0", f.zero, f.zero, f.sympy_zero, f.reals, 0))
    return {record.name: record for record in records}


_BUILT_IN = _table()
PRIMITIVES: dict[str, Primitive] = dict(_BUILT_IN)
ALIASES: dict[str, str] = {
    "x^0.5": "sqrt",
    "1/x^0.5": "1/sqrt(x)",
    "x^-0.5": "1/sqrt(x)",
    "sign": "sgn",
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "atanh": "arctanh",
    "asinh": "arcsinh",
    "acosh": "arccosh",
    "ln": "log",
    "cbrt": "x^(1/3)",
}

# f(-u) = -f(u), and f(-u) = f(u): the sign of a in c f(a x + b) + d goes into b and c. Powers, whose
# |a| goes into c too, are seen by `scale_free`.
ODD = frozenset({"sin", "tan", "tanh", "sinh", "arcsin", "arctan", "arctanh", "arcsinh"})
EVEN = frozenset({"gaussian", "cosh"})


def scale_free(record: Primitive) -> bool:
    """f(s u) = s^p f(u), or f(u) + const, for s > 0: powers (x among them), log, abs and sgn."""
    return isinstance(record.torch, f.Power) or record.name in ("log", "abs", "sgn")


_NUMBER = r"[+-]?(?:\d{1,20}(?:\.\d{0,20})?|\.\d{1,20})(?:[eE][+-]?\d{1,3})?"
_POWER = re.compile(
    rf"(?P<inverse>1/)?x\^(?:\(?(?P<number>{_NUMBER})\)?|"
    r"\((?P<p>[+-]?\d{1,9})/(?P<q>\d{1,9})\))"
)


def _read_power(name: str) -> Fraction | float | None:
    found = _POWER.fullmatch(name.replace(" ", "").replace("**", "^"))
    if found is None or (found["q"] is not None and int(found["q"]) == 0):
        return None
    exponent: Fraction | float
    if found["p"] is not None:
        exponent = Fraction(int(found["p"]), int(found["q"]))
    elif re.fullmatch(r"[+-]?\d+", found["number"]):
        exponent = Fraction(int(found["number"]))
    else:
        exponent = float(found["number"])
    return -exponent if found["inverse"] else exponent


def _built_in(name: str) -> Primitive | None:
    """The library's own record of that name, whatever users have put in its place."""
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    exponent = _read_power(name)
    return None if exponent is None else power(exponent)


def primitive(name: str | Primitive) -> Primitive:
    """The record of that name, or a power built from "x^1.37", "x^(2/3)", "x^-0.5", "1/x^7".

    Raises:
        InputError: no such function; the message lists the names nearest to it.
    """
    if isinstance(name, Primitive):
        return name
    if not isinstance(name, str):
        raise InputError(f"a primitive is named by a string such as 'sin', not by {name!r}")
    key = ALIASES.get(name, name)
    if key in PRIMITIVES:
        return PRIMITIVES[key]
    exponent = _read_power(name)
    if exponent is not None:
        built = power(exponent)
        return PRIMITIVES.get(built.name, built)
    known = [*PRIMITIVES, *ALIASES]
    near = difflib.get_close_matches(name, known, n=4, cutoff=0.5)
    hint = f"nearest names: {', '.join(near)}" if near else f"known names: {', '.join(PRIMITIVES)}"
    raise InputError(
        f"no primitive is called {name[:60]!r}; {hint}; powers are written 'x^1.37' or 'x^(2/3)'; "
        "add your own with edgewise.symbolic.add_symbolic"
    )
