"""Which form a function has: sums, products, symmetries and groups, read from its exact derivatives.

Every test measures by how much an identity between derivatives fails, in units of what they are made
of, and compares that with what an error of the function can do to it. A smooth function that is known
up to an error eps of its spread has derivatives that are known to about

    first: tau_1 = 2 eps^(3/4)        second: tau_2 = 2 eps^(1/2)

of spread per standard deviation of the inputs, for fourth derivatives of the same size (the
Landau-Kolmogorov inequality). An identity holds where it fails by less, provided that its own terms
are larger; smaller ones decide nothing.

References: S.-M. Udrescu et al., *AI Feynman 2.0* (2020), for tests by gradients; Liu et al., *KAN 2.0*
(2024), section 4.3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from edgewise.errors import InputError, ShapeError

# (B, n) -> (B,) or (B, 1), each row by itself
Function = Callable[[Tensor], Tensor]

_SAFETY = 2.0
# An identity's own terms must be so many times what an error can do.
CLEAR = 2.0
_EXACT = 1e-13
_KEPT = 0.95  # of the rows


@dataclass(frozen=True)
class Finding:
    """A test: its name, the inputs (by index), what is left of the identity, what would be allowed.

    holds: left < allowed, and the identity's terms are clear of the error. ratio: of "a x_i + x_j" and
    "x_i^a x_j".
    """

    test: str
    inputs: tuple[int, ...]
    left: float
    allowed: float
    holds: bool
    ratio: float = 1.0


@dataclass(frozen=True, eq=False)
class Derivatives:
    """A function on rows: x (B, n), value (B,), gradient (B, n), hessian (B, n, n), and its error.

    error: rms, in the function's unit.
    """

    x: Tensor
    value: Tensor
    gradient: Tensor
    hessian: Tensor
    error: float

    @property
    def spread(self) -> float:
        return float(self.value.std().clamp_min(1e-300))

    @property
    def reach(self) -> Tensor:
        """Standard deviations of the inputs (n,)."""
        return self.x.std(0).clamp_min(1e-300)

    @property
    def eps(self) -> float:
        return min(1.0, max(self.error / self.spread, _EXACT))

    @property
    def first(self) -> float:
        """tau_1"""
        return _SAFETY * self.eps**0.75

    @property
    def second(self) -> float:
        """tau_2"""
        return _SAFETY * self.eps**0.5

    @property
    def effects(self) -> Tensor:
        """rms(f_i) s_i / spread: how much each input moves the function (n,)."""
        return rms(self.gradient) * self.reach / self.spread


def derivatives(f: Function, x: Tensor, error: float = 0.0) -> Derivatives:
    """Value, gradient and Hessian at the rows of x (B, n), by automatic differentiation."""
    x = x.detach().double().requires_grad_()
    value = f(x).reshape(len(x), -1)
    if value.shape[1] != 1:
        raise ShapeError(f"f gives {value.shape[1]} numbers a row; look at one output at a time.")
    if not bool(torch.isfinite(value).all()):
        raise InputError("The function is not finite on the rows that came; leave such rows out.")
    g = _slopes(value.sum(), x)
    H = torch.stack([_slopes(g[:, i].sum(), x) for i in range(x.shape[1])], dim=1)
    H = 0.5 * (H + H.mT)
    smooth = torch.isfinite(g).all(1) & torch.isfinite(H).flatten(1).all(1)
    if not bool(smooth.all()):
        raise InputError(
            f"The function has no finite derivatives in {int((~smooth).sum())} of {len(x)} rows, the "
            f"first at {x[~smooth][0].tolist()}; leave such rows out."
        )
    return Derivatives(x.detach(), value[:, 0].detach(), g.detach(), H.detach(), error)


def _slopes(total: Tensor, x: Tensor) -> Tensor:
    """d total / dx, differentiable; 0 where total does not depend on x."""
    if not total.requires_grad:
        return torch.zeros_like(x)
    return torch.autograd.grad(
        total, x, create_graph=True, allow_unused=True, materialize_grads=True
    )[0]


# --- which inputs count, sums and products ------------------------------------------------------


def unused(d: Derivatives) -> tuple[int, ...]:
    """Inputs that move the function by no more than its error can."""
    return tuple((d.effects <= d.first).nonzero()[:, 0].tolist())


def additive(d: Derivatives) -> list[Finding]:
    """Pairs where H_ij = 0: the function is a sum in which x_i and x_j stand apart."""
    s, found = d.reach, []
    for i, j in combinations(range(d.x.shape[1]), 2):
        left = float(rms(d.hessian[:, i, j]) * s[i] * s[j]) / d.spread
        found.append(Finding("sum", (i, j), left, d.second, left < d.second))
    return found


def multiplicative(d: Derivatives, offset: float = 0.0) -> list[Finding]:
    """Pairs where (f - offset) H_ij = f_i f_j: f - offset is a product with x_i and x_j apart."""
    s, found = d.reach, []
    f = d.value - offset
    unit = float(rms(f)) * d.spread
    for i, j in combinations(range(d.x.shape[1]), 2):
        product = d.gradient[:, i] * d.gradient[:, j]
        scale = float(s[i] * s[j]) / unit
        left = float(rms(f * d.hessian[:, i, j] - product)) * scale
        clear = float(rms(product)) * scale > CLEAR * d.second
        found.append(Finding("product", (i, j), left, d.second, clear and left < d.second))
    return found


def offsets(d: Derivatives) -> list[float]:
    """Constants to try in ``multiplicative``: 0, and for each pair the best by least squares."""
    tried = [0.0]
    for i, j in combinations(range(d.x.shape[1]), 2):
        h = d.hessian[:, i, j]
        rest = d.value * h - d.gradient[:, i] * d.gradient[:, j]
        if float(rms(h) * d.reach[i] * d.reach[j]) > CLEAR * d.second * d.spread:
            tried.append(_ratio(rest, h))
    return tried


def _ratio(u: Tensor, v: Tensor) -> float:
    """c of u = c v by least squares, over and over without the rows that fit worst."""
    c = (u * v).sum() / v.square().sum()
    for _ in range(5):
        kept = (u - c * v).abs().argsort()[: max(1, int(_KEPT * len(u)))]
        c = (u[kept] * v[kept]).sum() / v[kept].square().sum()
    return float(c)


def blocks(count: int, apart: Sequence[Finding]) -> list[tuple[int, ...]]:
    """The sets of inputs that are left together by the pairs that stand apart."""
    together = {finding.inputs for finding in apart if not finding.holds}
    label = list(range(count))
    for i, j in together:
        low, high = sorted((label[i], label[j]))
        label = [low if l == high else l for l in label]
    return [tuple(i for i in range(count) if label[i] == l) for l in sorted(set(label))]


# --- pairs that act as one ----------------------------------------------------------------------

SYMMETRIES = ("x - y", "x + y", "x*y", "x/y", "a*x + y", "x^a*y")


def symmetry(d: Derivatives, i: int, j: int) -> list[Finding]:
    """Whether x_i and x_j act through one number: each of SYMMETRIES, the plain ones first.

    ::

        x - y: f_i = -f_j     x + y: f_i = f_j       a x + y: f_i = a f_j
        x/y: x f_i = -y f_j   x y: x f_i = y f_j     x^a y:   x f_i = a y f_j, for positive x and y
    """
    x, y = d.x[:, i], d.x[:, j]
    straight = (d.gradient[:, i], d.gradient[:, j], 1 / d.reach[i], 1 / d.reach[j])
    power = (
        x * d.gradient[:, i],
        y * d.gradient[:, j],
        rms(x) / d.reach[i],
        rms(y) / d.reach[j],
    )
    found = [
        _proportional(d, "x - y", (i, j), *straight, -1.0),
        _proportional(d, "x + y", (i, j), *straight, 1.0),
        _proportional(d, "x*y", (i, j), *power, 1.0),
        _proportional(d, "x/y", (i, j), *power, -1.0),
        _proportional(d, "a*x + y", (i, j), *straight, _slope(straight)),
    ]
    if bool((x > 0).all() and (y > 0).all()):
        found.append(_proportional(d, "x^a*y", (i, j), *power, _slope(power)))
    return found


def _slope(terms: tuple[Tensor, Tensor, Tensor, Tensor]) -> float:
    """a of u = a v by least squares with both sides in units of what an error does to them."""
    u, v, unit_u, unit_v = terms
    U, V = u / unit_u, v / unit_v
    M = torch.stack([U, V]) @ torch.stack([U, V], dim=1)
    normal = torch.linalg.eigh(M).eigenvectors[:, 0]  # U n_0 + V n_1 = 0
    a = -float(normal[1] / normal[0] * unit_u / unit_v) if float(normal[0].abs()) > 1e-9 else 0.0
    return a


def _proportional(
    d: Derivatives,
    test: str,
    inputs: tuple[int, int],
    u: Tensor,
    v: Tensor,
    unit_u: Tensor,
    unit_v: Tensor,
    a: float,
) -> Finding:
    """u = a v, for u and v that an error of the function changes by tau_1 spread times their units."""
    unit = d.spread * float(unit_u + abs(a) * unit_v)
    left = float(rms(u - a * v)) / unit
    clear = float(torch.minimum(rms(u), abs(a) * rms(v))) / unit > CLEAR * d.first
    return Finding(test, inputs, left, d.first, clear and left < d.first, a)


def rms(values: Tensor) -> Tensor:
    """Root mean square over rows, without the largest twentieth: at the ends of a range, where rows are
    few, derivatives of a fit are wrong by far more than elsewhere."""
    kept = max(1, int(_KEPT * len(values)))
    return values.square().sort(0).values[:kept].mean(0).sqrt()
