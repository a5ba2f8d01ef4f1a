"""Units of columns: which formulas they allow, and which products of powers have no dimension.

A dimension is a vector of powers of the base dimensions (length, mass, time, ...). What a formula may
be, decided once: the terms of a sum have one dimension; what stands in exp, sin, log and the like, and
every exponent, has none. An exact number (2, 1/3, pi) has none either. A fitted number, a float, may
carry any where it is a factor or a term, as a spring constant or an offset does. A formula that is a
number alone fits every target.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import sympy
from sympy import Expr

from edgewise.errors import InputError, MissingDependencyError

# (base dimension, power), sorted; () is dimensionless.
Dimension = tuple[tuple[str, Fraction], ...]

_DENOMINATOR = 1000  # of a fitted exponent, as a fraction


@dataclass(frozen=True)
class Units:
    """The dimensions of the columns, in order, and of the target."""

    names: tuple[str, ...]
    columns: tuple[Dimension, ...]
    target_name: str
    target: Dimension

    def allow(self, expression: Expr) -> bool:
        """Whether the expression is well formed and has the target's dimension."""
        try:
            found = _of(expression, dict(zip(self.names, self.columns, strict=True)))
        except _IllFormedError:
            return False
        return expression.is_number or found is None or found == self.target


def read_units(units: Mapping[str, str], names: Sequence[str], target: str) -> Units:
    """Units by name, such as {"m": "kg", "v": "m/s", "angle": ""}, for all columns and the target.

    Raises InputError: a name is unknown or has no unit, or a unit is not understood or not
    proportional to its quantity (degC, dB); MissingDependencyError: pint is not installed.
    """
    if not isinstance(units, Mapping):
        raise InputError(
            f"units is a {type(units).__name__}; expected name -> unit, {{'v': 'm/s'}}"
        )
    unknown = sorted(set(units) - {*names, target})
    if unknown:
        raise InputError(
            f"units names {unknown[0]!r}, but the columns are {', '.join(names)}, the target {target}"
        )
    missing = [name for name in (*names, target) if name not in units]
    if missing:
        raise InputError(
            f"{missing[0]!r} has no unit; give one in units, '' for a pure number or an angle"
        )
    registry = _registry()
    found = {name: _dimension(registry, name, units[name]) for name in (*names, target)}
    return Units(tuple(names), tuple(found[name] for name in names), target, found[target])


def _registry():  # type: ignore[no-untyped-def]  # pint may not be there to name its type
    try:
        import pint
    except ImportError as error:
        raise MissingDependencyError(
            "units are read by pint, which is not installed: pip install 'edgewise[units]'"
        ) from error
    return pint.UnitRegistry()


def _dimension(registry, name: str, unit: str) -> Dimension:  # type: ignore[no-untyped-def]
    if not isinstance(unit, str):
        raise InputError(f"the unit of {name!r} is {unit!r}; expected text such as 'm/s'")
    try:
        parsed = registry.parse_units(unit)
        one, two = (
            registry.Quantity(size, parsed).to_base_units().magnitude for size in (1.0, 2.0)
        )
    except Exception as error:  # pint raises what its parser meets: assertions, attributes, ...
        raise InputError(
            f"the unit {unit!r} of {name!r} is not understood ({error}); write it as 'kg*m/s^2'"
        ) from error
    if not abs(two - 2 * one) <= 1e-9 * abs(one):
        raise InputError(
            f"the unit {unit!r} of {name!r} is not proportional to its quantity; convert the column, "
            "degC to kelvin for instance"
        )
    powers = dict(parsed.dimensionality)
    return _vector({base.strip("[]"): _fraction(float(power)) for base, power in powers.items()})


def written(dimension: Dimension) -> str:
    """A dimension in words: "length time^-2", or "no dimension"."""
    parts = [base if power == 1 else f"{base}^{power}" for base, power in dimension]
    return " ".join(parts) or "no dimension"


# --- the dimension of an expression --------------------------------------------------------------


class _IllFormedError(Exception):
    """Unequal terms, or an argument that has a dimension."""


def _of(node: Expr, columns: Mapping[str, Dimension]) -> Dimension | None:
    """The dimension of a well-formed expression; None for any, where a fitted number decides."""
    if isinstance(node, sympy.Symbol):
        return columns[node.name]
    if isinstance(node, sympy.Float):
        return None
    if node.is_number and not node.has(sympy.Float):
        return ()
    if isinstance(node, sympy.Mul):
        parts = [_of(part, columns) for part in node.args]
        return None if None in parts else _product([(part, Fraction(1)) for part in parts if part])
    if isinstance(node, sympy.Pow):
        return _of_power(node, columns)
    if isinstance(node, (sympy.Add, sympy.Max, sympy.Min, sympy.Abs)):
        return _common(node, columns)
    if isinstance(node, (sympy.atan2, sympy.sign)):
        _common(node, columns)
        return ()
    for part in node.args:  # exp, sin, log, ...
        _need_none(part, columns)
    return ()


def _of_power(node: sympy.Pow, columns: Mapping[str, Dimension]) -> Dimension | None:
    if not node.exp.is_number:
        _need_none(node.base, columns)
        _need_none(node.exp, columns)
        return ()
    base = _of(node.base, columns)
    return None if base is None else _product([(base, _fraction(float(node.exp)))])


def _common(node: Expr, columns: Mapping[str, Dimension]) -> Dimension | None:
    """The one dimension of all arguments."""
    known = {part for part in (_of(part, columns) for part in node.args) if part is not None}
    if len(known) > 1:
        raise _IllFormedError
    return next(iter(known), None)


def _need_none(node: Expr, columns: Mapping[str, Dimension]) -> None:
    if _of(node, columns) not in ((), None):
        raise _IllFormedError


def _product(factors: Sequence[tuple[Dimension, Fraction]]) -> Dimension:
    total: dict[str, Fraction] = {}
    for dimension, exponent in factors:
        for base, power in dimension:
            total[base] = total.get(base, Fraction(0)) + exponent * power
    return _vector(total)


def _vector(powers: Mapping[str, Fraction]) -> Dimension:
    return tuple(sorted((base, power) for base, power in powers.items() if power))


def _fraction(value: float) -> Fraction:
    return Fraction(value).limit_denominator(_DENOMINATOR)
