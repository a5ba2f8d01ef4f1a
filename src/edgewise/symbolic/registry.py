"""Users' own primitives: checked against autograd and against sympy before they are used."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from .primitives import ALIASES, PRIMITIVES, Map, Primitive, primitive


@dataclass(frozen=True)
class _Finite:
    """The domain of a function whose user named none: where its value is finite."""

    value: Map

    def __call__(self, u: Tensor) -> Tensor:
        return torch.isfinite(self.value(u))


@dataclass(frozen=True)
class _Masked:
    """A function made NaN outside the domain that the user gave."""

    value: Map
    domain: Map

    def __call__(self, u: Tensor) -> Tensor:
        return self.value(u).masked_fill(~self.domain(u), float("nan"))


@dataclass(frozen=True)
class _AutogradSlope:
    """f' by autograd; itself differentiable when u requires a gradient."""

    value: Map

    def __call__(self, u: Tensor) -> Tensor:
        with torch.enable_grad():
            v = u if u.requires_grad else u.detach().requires_grad_()
            out = self.value(v)
            if not out.requires_grad:
                return torch.zeros_like(u)
            (slope,) = torch.autograd.grad(out.sum(), v, create_graph=u.requires_grad)
        return slope


class _ChainRule(torch.autograd.Function):
    """Autograd for a value that torch cannot differentiate, by the slope the user gave."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, value: Map, slope: Map) -> Tensor:
        ctx.save_for_backward(u)
        ctx.slope = slope
        return value(u)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        (u,) = ctx.saved_tensors
        return gradient * ctx.slope(u), None, None


@dataclass(frozen=True)
class _WithSlope:
    value: Map
    slope: Map

    def __call__(self, u: Tensor) -> Tensor:
        return _ChainRule.apply(u, self.value, self.slope)


def add_symbolic(
    name: str,
    torch_function: Map,
    sympy_function: Callable[[Any], Any],
    cost: float = 3,
    domain: Map | None = None,
    derivative: Map | None = None,
    replace: bool = False,
) -> Primitive:
    """Make a function of yours one of the primitives, and return its record.

    Args:
        name: how it is called in `fix_symbolic` and in a library.
        torch_function: u -> f(u), elementwise on tensors.
        sympy_function: expression -> expression; `sympy.Function(name)` if sympy has no such one.
        cost: complexity; x costs 1, sin 2, tan 3, arctan 4.
        domain: u -> bool mask; None means wherever f(u) is finite.
        derivative: u -> f'(u); None means autograd. Needed where torch cannot differentiate f.
        replace: whether a record of that name may be replaced.

    Raises:
        InputError: the checks of `register` fail.

    Example::

        add_symbolic("J0", torch.special.bessel_j0, lambda u: sympy.besselj(0, u),
                     derivative=lambda u: -torch.special.bessel_j1(u))
    """
    value, slope = torch_function, derivative
    if domain is not None:
        value = _Masked(value, domain)
        slope = None if slope is None else _Masked(slope, domain)
    if slope is not None and not value(torch.ones(1, requires_grad=True)).requires_grad:
        value = _WithSlope(value, slope)
    record = Primitive(
        name, value, slope or _AutogradSlope(value), sympy_function, domain or _Finite(value), cost
    )
    return register(record, replace=replace)


def register(record: Primitive, replace: bool = False) -> Primitive:
    """Put a checked record into PRIMITIVES, where every search and every file finds it by name.

    The checks, at points in [-3, 3] or, if f is not defined there, in [-100, 100]: finite
    values, NaN outside the domain, the derivative equal to autograd's within 1e-6 and to central
    differences within 1e-4, sympy's value equal to torch's within 1e-6 (where sympy has one).

    Raises:
        InputError: the name is taken (and not `replace`), or a check fails.
    """
    if not isinstance(record, Primitive):
        raise InputError(f"register takes a Primitive, not a {type(record).__name__}")
    _check_name(record, replace)
    u = _probes(record)
    _check_values(record, u)
    _check_slope(record, u)
    _check_sympy(record, u)
    PRIMITIVES[record.name] = record
    return record


def _check_name(record: Primitive, replace: bool) -> None:
    if not isinstance(record.name, str) or not record.name.strip():
        raise InputError(f"a primitive needs a name, but it is {record.name!r}")
    if not (math.isfinite(record.cost) and record.cost > 0):
        raise InputError(f"the cost of {record.name!r} is {record.cost}; it must be positive")
    if record.name in ALIASES:
        raise InputError(
            f"{record.name!r} is another name of {ALIASES[record.name]!r}; choose a different name"
        )
    if record.name in PRIMITIVES and not replace:
        raise InputError(
            f"a primitive called {record.name!r} exists; choose another name, or replace=True"
        )
    if record.name not in PRIMITIVES:
        try:
            primitive(record.name)
        except InputError:
            return
        raise InputError(f"{record.name!r} already means a power of x; choose another name")


def _probes(record: Primitive) -> Tensor:
    """Points of the domain, irrational so that they miss kinks and poles at round numbers."""
    for reach in (3.0, 100.0):
        u = torch.linspace(-reach, reach, 121, dtype=torch.float64) + math.pi / 1000
        value, inside = record.torch(u), record.domain(u)
        if value.shape != u.shape or value.dtype != u.dtype:
            raise InputError(
                f"torch of {record.name!r} must be elementwise: shape {tuple(u.shape)} and dtype "
                f"{u.dtype} went in, {tuple(value.shape)} and {value.dtype} came out"
            )
        if inside.shape != u.shape or inside.dtype != torch.bool:
            raise InputError(f"domain of {record.name!r} must return a bool mask of u's shape")
        if not torch.isnan(value[~inside]).all() and not isinstance(record.domain, _Finite):
            raise InputError(
                f"torch of {record.name!r} must be NaN outside its domain, but at "
                f"u = {float(u[~inside & ~torch.isnan(value)][0]):.4g} it is a number"
            )
        if (inside & torch.isfinite(value)).any():
            return u[inside & torch.isfinite(value)]
    raise InputError(f"{record.name!r} has no finite value in [-100, 100]; check torch and domain")


def _check_values(record: Primitive, u: Tensor) -> None:
    if not torch.allclose(record.torch(u.flip(0)).flip(0), record.torch(u), rtol=1e-9):
        raise InputError(f"torch of {record.name!r} is not elementwise: the order of u changes it")


def _check_slope(record: Primitive, u: Tensor) -> None:
    given = record.derivative(u)
    autograd = _AutogradSlope(record.torch)(u)
    _compare(record, "derivative", u, given.detach(), autograd, "autograd's", 1e-6)
    # Autograd cannot see through a detached value; differences can, to fewer digits.
    h = 1e-6 * u.abs().clamp(min=1.0)
    above, below = record.torch(u + h), record.torch(u - h)
    inner = torch.isfinite(above) & torch.isfinite(below)
    differences = ((above - below) / (2 * h)).detach()
    # Rounding of f over h is the differences' own noise, not the derivative's.
    noise = 1e-8 * (above.abs() + below.abs()).detach()
    within = (differences - given).detach().abs() <= 1e-4 * (1 + given.detach().abs()) + noise
    wrong = inner & ~within
    # A kink or a jump may lie at one point; a wrong derivative is wrong at many.
    if int(wrong.sum()) > max(2, int(inner.sum()) // 20):
        k = int(wrong.nonzero()[0])
        raise InputError(
            f"derivative of {record.name!r} at u = {float(u[k]):.6g} is {float(given[k]):.6g}, "
            f"but differences of torch give {float(differences[k]):.6g}"
        )


def _check_sympy(record: Primitive, u: Tensor) -> None:
    import sympy

    points = u[:: max(1, len(u) // 7)]
    numbers, kept = [], []
    for k, point in enumerate(points.tolist()):
        value = record.sympy(sympy.Float(point))
        if not isinstance(value, sympy.Expr):
            raise InputError(
                f"sympy of {record.name!r} must return a sympy expression, "
                f"but it returned {type(value).__name__}"
            )
        value = value.evalf()
        if value.is_Float or value.is_Rational:
            numbers.append(float(value))
            kept.append(k)
    chosen = points[kept]
    found = torch.tensor(numbers, dtype=torch.float64)
    _compare(record, "torch", chosen, record.torch(chosen).detach(), found, "sympy's", 1e-6)


def _compare(
    record: Primitive, what: str, u: Tensor, ours: Tensor, theirs: Tensor, whose: str, rtol: float
) -> None:
    if ours.shape != u.shape:
        raise InputError(f"{what} of {record.name!r} must return a tensor of u's shape")
    wrong = ~((ours - theirs).abs() <= rtol * (1 + theirs.abs()))
    if wrong.any():
        k = int(wrong.nonzero()[0])
        raise InputError(
            f"{what} of {record.name!r} at u = {float(u[k]):.6g} is {float(ours[k]):.9g}, "
            f"but {whose} value is {float(theirs[k]):.9g}"
        )
