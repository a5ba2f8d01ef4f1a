"""What a formula may be made of: a library of functions, and nestings that are not wanted.

A search hands every formula it has found to `Rules` and keeps what comes back, so that each of its
stages obeys, however it came to the formula.

Sums, differences, products and so whole powers x^n are always allowed, and numbers such as sqrt(2).
Everything else is a function of the library: division needs 1/x, a root needs a power with such an
exponent, a^x needs exp, x^y exp and log.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import sympy
from sympy import Expr

from edgewise.errors import InputError
from edgewise.symbolic.elementary import Power
from edgewise.symbolic.evaluate import RECIPROCALS, record_of
from edgewise.symbolic.primitives import Primitive, power, primitive

_QUARTER = sympy.Float(math.pi / 2)  # exact, sympy would turn sin(u + pi/2) back into cos(u)
# A function outside the library, written by others: head -> forms of it.
_FORMS: dict[type, tuple[Callable[[Expr], Expr], ...]] = {
    sympy.sin: (lambda u: sympy.cos(u - _QUARTER),),
    sympy.cos: (lambda u: sympy.sin(u + _QUARTER),),
    sympy.tan: (
        lambda u: sympy.sin(u) / sympy.cos(u),
        lambda u: sympy.sin(u) / sympy.sin(u + _QUARTER),
        lambda u: sympy.cos(u - _QUARTER) / sympy.cos(u),
    ),
    sympy.asin: (lambda u: _QUARTER - sympy.acos(u),),
    sympy.acos: (lambda u: _QUARTER - sympy.asin(u),),
    sympy.sinh: (lambda u: (sympy.exp(u) - sympy.exp(-u)) / 2,),
    sympy.cosh: (lambda u: (sympy.exp(u) + sympy.exp(-u)) / 2,),
    sympy.tanh: (
        lambda u: 1 - 2 / (sympy.exp(2 * u) + 1),
        lambda u: sympy.sinh(u) / sympy.cosh(u),
    ),
}


@dataclass(frozen=True)
class Rules:
    """Formula -> the formula, perhaps written with other functions, or None to reject it.

    library: the functions allowed; None allows all. forbidden: (outer, inner) names of primitives:
    inner nowhere under outer; outer "" means anywhere. check: what else must hold.
    """

    library: tuple[Primitive, ...] | None = None
    forbidden: tuple[tuple[str, str], ...] = ()
    check: Callable[[Expr], bool] | None = None

    def __call__(self, expression: Expr) -> Expr | None:
        if self.library is not None:
            found = _within(expression, self.library)
            if found is None:
                return None
            expression = found
        if self.forbidden and nested(expression, self.forbidden):
            return None
        if self.check is not None and not self.check(expression):
            return None
        return expression


def rules(
    lib: Sequence[str | Primitive] | None = None,
    forbid: Iterable[str | Sequence[str]] | None = None,
    check: Callable[[Expr], bool] | None = None,
) -> Rules | None:
    """The rules of a search, or None where everything is allowed.

    lib: names or records of primitives. forbid: "sin(exp)" or ("sin", "exp") forbids exp anywhere
    under sin, "tan" forbids tan altogether.

    Raises InputError: a function is not known, or lib is empty.
    """
    if isinstance(lib, str) or isinstance(forbid, str):
        which = "lib" if isinstance(lib, str) else "forbid"
        raise InputError(f"{which} is a text; give a list of names, e.g. {which}=['sin']")
    if lib is not None and not lib:
        raise InputError("lib is empty; name the functions allowed, e.g. lib=['x', 'sin']")
    library = None if lib is None else tuple(map(primitive, lib))
    forbidden = tuple(map(_pair, forbid or ()))
    if library is None and not forbidden and check is None:
        return None
    return Rules(library, forbidden, check)


# --- nestings ------------------------------------------------------------------------------------


def _pair(entry: str | Sequence[str]) -> tuple[str, str]:
    """("sin", "exp") of "sin(exp)" or of itself; ("", "tan") of "tan"."""
    if not isinstance(entry, str):
        if len(entry) != 2:
            raise InputError(f"forbid holds {entry!r}; expected a pair such as ('sin', 'exp')")
        return _node_name(entry[0]), _node_name(entry[1])
    text = entry.replace(" ", "")
    for at, letter in enumerate(text):  # names of powers hold parentheses of their own
        if letter == "(" and text.endswith(")") and at > 0:
            outer, inner = text[:at], text[at + 1 : -1]
            if _known(outer) and _known(inner) and inner != "x":
                return _node_name(outer), _node_name(inner)
    if "(" in text and not _known(text):
        raise InputError(
            f"forbid holds {entry!r}; write a nesting as 'sin(exp)', two names of functions"
        )
    return "", _node_name(text)


def _known(name: str) -> bool:
    try:
        primitive(name)
    except InputError:
        return False
    return True


def _node_name(name: str) -> str:
    found = primitive(name).name
    if found in ("x", "0"):
        raise InputError(f"forbid holds {name!r}, which is in every formula; leave it out")
    if found == "gaussian":
        raise InputError("forbid holds 'gaussian', which is written with exp; forbid 'exp'")
    return found


def nested(expression: Expr, forbidden: Collection[tuple[str, str]]) -> bool:
    """Whether an inner function of a pair stands anywhere under its outer one."""

    def walk(node: sympy.Basic, outer: frozenset[str]) -> bool:
        names = _names(node)
        if any((above, name) in forbidden for above in outer for name in names):
            return True
        return any(walk(part, outer | names) for part in node.args)

    return walk(_plain(expression), frozenset({""}))


def _plain(expression: Expr) -> Expr:
    """sec(u) as 1/cos(u), and so on."""
    heads = tuple(getattr(sympy, name) for name in RECIPROCALS)
    return expression.replace(
        lambda e: isinstance(e, heads),
        lambda e: 1 / getattr(sympy, RECIPROCALS[e.func.__name__])(*e.args),
    )


def _names(node: sympy.Basic) -> frozenset[str]:
    """The primitives that a node of a tree is, u^(-1/2) for instance 1/sqrt(x), sqrt and 1/x."""
    if isinstance(node, sympy.Pow):
        if not node.exp.is_number:
            return frozenset({"exp"})
        found = {_power(node).name}
        found |= {"sqrt"} if isinstance(node.exp, sympy.Rational) and node.exp.q == 2 else set()
        found |= {"1/x"} if float(node.exp) < 0 else set()
        return frozenset(found)
    if not node.args or isinstance(node, (sympy.Add, sympy.Mul)):
        return frozenset()
    record = record_of(node)
    return frozenset() if record is None else frozenset({record[0].name})


def _power(node: sympy.Pow) -> Primitive:
    exponent = node.exp
    return power(
        Fraction(exponent.p, exponent.q)
        if isinstance(exponent, sympy.Rational)
        else float(exponent)
    )


# --- the library ---------------------------------------------------------------------------------


def _within(expression: Expr, library: Sequence[Primitive], depth: int = 2) -> Expr | None:
    """The expression by functions of the library alone, or None."""
    expression = _plain(expression)
    names = frozenset(record.name for record in library)
    exponents = [record.torch.exponent for record in library if isinstance(record.torch, Power)]

    def outside(node: sympy.Basic) -> bool:
        return not _allowed(node, names, exponents)

    if not any(map(outside, sympy.preorder_traversal(expression))):
        return expression

    def rewritten(node: Expr) -> Expr:
        for form in _FORMS[node.func]:
            found = _within(form(*node.args), library, depth - 1)
            if found is not None:
                return found
        return node

    heads = tuple(head for head in _FORMS if head.__name__ not in _sympy_names(names))
    if depth == 0 or not heads or not expression.has(*heads):
        return None
    # from the inside out, so that a form never rewrites what another has written
    found = expression.replace(lambda e: e.func in heads, rewritten)
    return None if any(map(outside, sympy.preorder_traversal(found))) else found


def _sympy_names(names: Collection[str]) -> set[str]:
    return {name.replace("arc", "a") for name in names}


def _allowed(
    node: sympy.Basic, names: Collection[str], exponents: Sequence[Fraction | float]
) -> bool:
    if node.is_number or not node.args or isinstance(node, (sympy.Add, sympy.Mul)):
        return True
    if isinstance(node, sympy.Pow):
        if node.exp.is_number:
            return _power_allowed(_power(node).torch.exponent, exponents)  # type: ignore[attr-defined]
        return "exp" in names and (node.base.is_number or "log" in names)
    if isinstance(node, sympy.exp) and "gaussian" in names and _bell(node.args[0]):
        return True
    record = record_of(node)
    return record is not None and record[0].name in names


def _power_allowed(exponent: Fraction | float, given: Sequence[Fraction | float]) -> bool:
    """Whether x^exponent is x^r to a whole power or times a whole power of x, r in the library or a
    product of two that are."""
    if isinstance(exponent, float):
        simple = Fraction(exponent).limit_denominator(12)
        if simple != exponent:
            return exponent in given
        exponent = simple
    exact = [r for r in given if isinstance(r, Fraction)]
    roots = {Fraction(1), *exact, *(r * s for r in exact for s in exact)}

    def whole(value: Fraction, least: int) -> bool:
        return value.denominator == 1 and value >= least

    return any(whole(exponent / r, 1) or whole(exponent - r, 0) for r in roots)


def _bell(argument: Expr) -> bool:
    """Whether the argument of an exponential is -(a u + b)^2 + c for some part u."""
    argument = sympy.expand(argument) if len(argument.free_symbols) == 1 else argument
    for u in (*argument.free_symbols, *(p.base for p in argument.atoms(sympy.Pow) if p.exp == 2)):
        t = sympy.Dummy("t", real=True)
        inside = argument.subs(u, t)
        if inside.free_symbols == {t} and inside.is_polynomial(t):
            found = sympy.Poly(inside, t)
            return found.degree() == 2 and bool(found.LC() < 0)
    return False
