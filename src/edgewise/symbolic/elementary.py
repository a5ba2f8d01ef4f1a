"""The functions behind the primitives: values, slopes and domains, NaN outside the domain.

A slope's formula can be finite where its function is not defined (1/u for log at u < 0), so those
are masked. Functions that torch already makes NaN outside (arcsin, sqrt) are used as they are.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor


def _within(domain: Tensor, value: Tensor) -> Tensor:
    return value.masked_fill(~domain, float("nan"))


# Domains: u -> bool mask.


def reals(u: Tensor) -> Tensor:
    return torch.isfinite(u)


def positive(u: Tensor) -> Tensor:
    return (u > 0) & reals(u)


def unit(u: Tensor) -> Tensor:
    return u.abs() <= 1


def open_unit(u: Tensor) -> Tensor:
    return u.abs() < 1


def from_one(u: Tensor) -> Tensor:
    return (u >= 1) & reals(u)


# Values and slopes.


def zero(u: Tensor) -> Tensor:
    # Not zeros_like: the result stays connected to u, so that autograd can pass through.
    return u * 0


def sign(u: Tensor) -> Tensor:
    # torch.sign(NaN) is 0, which would hide that something before it left its domain.
    return torch.sign(u).masked_fill(torch.isnan(u), float("nan"))


def log(u: Tensor) -> Tensor:
    return _within(u > 0, torch.log(u))


def log_slope(u: Tensor) -> Tensor:
    return _within(u > 0, 1 / u)


def cos_slope(u: Tensor) -> Tensor:
    return -torch.sin(u)


def tan_slope(u: Tensor) -> Tensor:
    return 1 + torch.tan(u) ** 2


def tanh_slope(u: Tensor) -> Tensor:
    return 1 - torch.tanh(u) ** 2


def arcsin_slope(u: Tensor) -> Tensor:
    return ((1 - u) * (1 + u)).rsqrt()


def arccos_slope(u: Tensor) -> Tensor:
    return -arcsin_slope(u)


def arctan_slope(u: Tensor) -> Tensor:
    return 1 / (1 + u * u)


def arctanh(u: Tensor) -> Tensor:
    return _within(open_unit(u), torch.arctanh(u))


def arctanh_slope(u: Tensor) -> Tensor:
    return _within(open_unit(u), 1 / ((1 - u) * (1 + u)))


def arcsinh_slope(u: Tensor) -> Tensor:
    return torch.rsqrt(1 + u * u)


def arccosh_slope(u: Tensor) -> Tensor:
    return _within(u >= 1, torch.rsqrt((u - 1) * (u + 1)))


def gaussian(u: Tensor) -> Tensor:
    return torch.exp(-u * u)


def gaussian_slope(u: Tensor) -> Tensor:
    return -2 * u * gaussian(u)


def sympy_gaussian(expression: Any) -> Any:
    import sympy

    return sympy.exp(-(expression**2))


def sympy_zero(expression: Any) -> Any:
    import sympy

    return sympy.S.Zero


@dataclass(frozen=True)
class Power:
    """u -> u^p on the reals: u >= 0 unless p is whole, u != 0 if p < 0."""

    exponent: Fraction | float

    @property
    def whole(self) -> bool:
        return isinstance(self.exponent, Fraction) and self.exponent.denominator == 1

    def _raise(self, u: Tensor, exponent: Fraction | float) -> Tensor:
        # A whole exponent goes in as int, for which torch multiplies or uses the exact power.
        if self.whole and abs(float(exponent)) < 2**31:
            return torch.pow(u, int(exponent))
        return torch.pow(u, float(exponent))

    def __call__(self, u: Tensor) -> Tensor:
        if self.exponent == 1:
            return u
        if self.exponent == -1:
            return _within(u != 0, 1 / u)
        if self.exponent > 0:
            return self._raise(u, self.exponent)
        return _within(u != 0, self._raise(u, self.exponent))

    def derivative(self, u: Tensor) -> Tensor:
        slope = float(self.exponent) * self._raise(u, self.exponent - 1)
        if self.exponent > 0:
            return slope if self.whole else _within(u >= 0, slope)
        return _within(u != 0, slope)

    def domain(self, u: Tensor) -> Tensor:
        if self.whole:
            return reals(u) if self.exponent > 0 else reals(u) & (u != 0)
        return reals(u) & ((u >= 0) if self.exponent > 0 else (u > 0))

    def sympy(self, expression: Any) -> Any:
        import sympy

        if isinstance(self.exponent, float):
            return expression ** sympy.Float(self.exponent)
        return expression ** sympy.Rational(self.exponent.numerator, self.exponent.denominator)
