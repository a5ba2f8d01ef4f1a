"""Families of edge functions: values that a layer is given."""

from __future__ import annotations

import inspect
from typing import Any

from edgewise.bases.base import Basis, curves, moved
from edgewise.bases.bernstein import Bernstein
from edgewise.bases.bspline import BSpline
from edgewise.bases.fourier import Fourier
from edgewise.bases.polynomials import Chebyshev, Gegenbauer, Hermite, Jacobi, Legendre
from edgewise.bases.ranged import Ranged
from edgewise.bases.rational import Rational
from edgewise.bases.rbf import RSWAF, GaussianRBF
from edgewise.bases.wavelet import Wavelet
from edgewise.errors import InputError

# the order in which docs and tables show them
_KNOWN: tuple[type[Basis], ...] = (
    BSpline,
    GaussianRBF,
    RSWAF,
    Chebyshev,
    Jacobi,
    Legendre,
    Gegenbauer,
    Hermite,
    Bernstein,
    Fourier,
    Wavelet,
    Rational,
)
FAMILIES: dict[str, type[Basis]] = {known.family: known for known in _KNOWN}

__all__ = [
    "FAMILIES",
    "RSWAF",
    "BSpline",
    "Basis",
    "Bernstein",
    "Chebyshev",
    "Fourier",
    "GaussianRBF",
    "Gegenbauer",
    "Hermite",
    "Jacobi",
    "Legendre",
    "Ranged",
    "Rational",
    "Wavelet",
    "curves",
    "from_dict",
    "make",
    "moved",
]


def make(basis: str | Basis, **options: Any) -> Basis:
    """A basis by its short name, or the one given: ``make("bspline", grid=10)``."""
    if isinstance(basis, Basis):
        return basis
    if basis not in FAMILIES:
        raise InputError(f"basis is {basis!r}; expected one of {sorted(FAMILIES)} or a Basis.")
    family = FAMILIES[basis]
    known = list(inspect.signature(family).parameters)
    unknown = set(options) - set(known)
    if unknown:
        raise InputError(f"{basis!r} has no options {sorted(unknown)}; it has {known}.")
    return family(**options)


def from_dict(spec: dict[str, Any]) -> Basis:
    """The inverse of ``Basis.to_dict``."""
    options = {name: value for name, value in spec.items() if name != "family"}
    if "range" in options:
        options["range"] = tuple(options["range"])
    return make(spec["family"], **options)
