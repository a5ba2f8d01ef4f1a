"""Laws of physics from networks: does every case give its formula?

    oscillator-1   what a mass on a spring conserves, from its equations of motion
    oscillator-2   the same in two dimensions: the energies, the angular momentum, and one more
    lagrangian     of a relativistic mass that falls, from its accelerations
    neo-hookean    stresses of a rubber, from deformation gradients and auxiliary variables
    black-hole     the time that makes space around a black hole flat, from the metric

The cases are those of Liu et al., *KAN 2.0* (2024), section 5, on data of our own.

    python benchmarks/physics.py
    python benchmarks/physics.py --cases oscillator-1 lagrangian
    python benchmarks/physics.py --short --cases oscillator-1 neo-hookean

Prints a line a law: the formula; its largest difference from the true law at other points, relative to
the spread there (for conserved quantities after the best factor and constant, which are free); what the
network of curves was off by before; seconds. Numbers are written as simple ones where they are within
1e-7 of them; the error is that of the numbers before.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import sympy
import torch
from torch import Tensor

import edgewise
from edgewise import KAN, create_dataset, pde
from edgewise.problems import Dataset, as_dataset
from edgewise.symbolic import augment, compile_structure
from edgewise.symbolic.evaluate import evaluate
from edgewise.train import LevenbergMarquardt

CONSERVED = 1e-6  # rms cosine between gradient and flow below which a function is conserved
INDEPENDENT = 0.1  # share of a gradient that must lie outside the span of the others
MU, LAMBDA = 0.42, 0.28  # of the rubber
SIMPLE = 1e-7


@dataclass(frozen=True)
class Law:
    """What a case gave: the formula, its error, what the network left, and seconds."""

    case: str
    formula: sympy.Expr
    error: float
    network: float
    seconds: float

    def row(self) -> str:
        numbers = {number: simple(float(number)) for number in self.formula.atoms(sympy.Float)}
        text = str(self.formula.xreplace(numbers)).replace("|", "\\|")
        return (
            f"| {self.case} | `{text}` | {self.error:.1e} | {self.network:.1e} | "
            f"{self.seconds:.0f} |"
        )


def simple(value: float) -> sympy.Expr:
    """The fraction, the fraction times sqrt(2) or the short decimal that is within 1e-7, or the value."""
    for unit in (sympy.Integer(1), sympy.sqrt(2)):
        ratio = Fraction(value / float(unit)).limit_denominator(12)
        near = sympy.Rational(ratio.numerator, ratio.denominator) * unit
        if abs(float(near) - value) <= SIMPLE * abs(value):
            return near
    short = f"{value:.4g}"
    close = abs(float(short) - value) <= SIMPLE * abs(value)
    return sympy.Float(short, 4) if close else sympy.Float(value, 7)


def error_of(formula: sympy.Expr, names: list[str], x: Tensor, truth: Tensor) -> float:
    """The largest difference from the truth (B,) at x (B, n), relative to its spread."""
    values = evaluate(formula, dict(zip(names, x.T, strict=True))).expand(len(x))
    return float((values - truth).abs().max() / truth.std())


def discovered(x: Tensor, y: Tensor, names: list[str], seconds: float = 30) -> sympy.Expr:
    return edgewise.discover(x, y, names=names, time_limit=seconds).best.sympy


# --- conserved quantities -----------------------------------------------------------------------


def conservation(
    names: tuple[str, ...], flow: Callable[[Tensor], Tensor], points: int
) -> pde.Problem:
    """grad H . F / (|grad H| |F|) = 0 on [-1, 1]^n, for the motion dz/dt = F(z)."""

    def equation(u: pde.Field, z: Tensor) -> Tensor:
        gradient, F = torch.stack([u.d(name) for name in names], dim=1), flow(z)
        size = gradient.norm(dim=1) * F.norm(dim=1)
        return (gradient * F).sum(1) / size.clamp_min(1e-12)

    return pde.Problem(pde.Box(**dict.fromkeys(names, (-1.0, 1.0))), equation, points=points)


def oscillator(z: Tensor) -> Tensor:
    """Velocities are the momenta, forces minus the places: z (B, 2 d)."""
    d = z.shape[1] // 2
    return torch.cat([z[:, d:], -z[:, :d]], dim=1)


def oscillator_1(short: bool) -> Iterator[Law]:
    started = time.perf_counter()
    problem = conservation(("x", "p"), oscillator, 150 if short else 400)
    start = KAN([2, 1], grid=5, seed=0, input_names=["x", "p"])
    found = pde.solve(start, problem, solver=LevenbergMarquardt(40))
    yield conserved_law("oscillator, 1-d", found, lambda z: z.square().sum(1), started)


def oscillator_2(short: bool) -> Iterator[Law]:
    """Sums of curves first; then products of straight lines, for what does not depend on those."""
    names = ("x", "y", "p", "q")
    problem = conservation(names, oscillator, 300)
    truths = {
        "xp": lambda z: z[:, 0].square() + z[:, 2].square(),
        "yq": lambda z: z[:, 1].square() + z[:, 3].square(),
        "xyqp": lambda z: z[:, 0] * z[:, 3] - z[:, 1] * z[:, 2],
        "xypq": lambda z: z[:, 0] * z[:, 1] + z[:, 2] * z[:, 3],
    }
    lines = {"grid": 1, "k": 1, "base_fun": "zero", "noise_scale": 0.5}
    known: dict[str, pde.Solution] = {}
    for width, options, wanted in (([4, 1], {"grid": 3}, 2), ([4, [0, 2], 1], lines, 4)):
        first = list(known.values())
        for seed in range(8):
            started = time.perf_counter()
            start = KAN(width, seed=seed, input_names=list(names), **options)
            found = smallest(start, problem, first)
            if found is None or _kind(found) in known:
                continue
            kind = _kind(found)
            known[kind] = found
            yield conserved_law("oscillator, 2-d", found, truths[kind], started)
            if short or len(known) == wanted:
                break
        if short:
            return


def _kind(found: pde.Solution) -> str:
    """The inputs that are read; the two products of four are told apart by which stand together."""
    live, names = found.model.layers[0].live, "xypq"
    read = "".join(name for name, on in zip(names, live.any(0).tolist(), strict=True) if on)
    if len(read) < 4:
        return read
    partner = next(names[i] for i in (1, 3) if bool(live[:2, i].any() == live[:2, 0].any()))
    return "xypq" if partner == "y" else "xyqp"


def smallest(start: KAN, problem: pde.Problem, known: list[pde.Solution]) -> pde.Solution | None:
    """The conserved quantity of the fewest edges that is reached by taking out one after another.

    None where it depends on those that are known.
    """
    z = problem.domain.sample(300, seed=9)

    def new(solution: pde.Solution) -> bool:
        return math.sqrt(solution.loss) < CONSERVED and independent(solution, known, z)

    best = pde.solve(start, problem, solver=LevenbergMarquardt(100, tolerance=1e-3))
    if not new(best):
        return None
    removed = True
    while removed:
        removed = False
        model = best.model
        scores = model.attribute(z)
        edges = [
            (float(scores.edges[l][j, i]), l, i, j)
            for l, layer in enumerate(model.layers)
            for j, i in layer.live.nonzero().tolist()
        ]
        for _, l, i, j in sorted(edges):
            trial = best.model.clone()
            trial.remove_edge(l, i, j)
            again = pde.solve(trial, problem, solver=LevenbergMarquardt(25, tolerance=1e-3))
            if new(again):
                best, removed = again, True
    return best


def gradient(solution: pde.Solution, z: Tensor) -> Tensor:
    """(B, n)"""
    z = z.clone().requires_grad_()
    return torch.autograd.grad(solution.model(z).sum(), z)[0]


def independent(solution: pde.Solution, known: list[pde.Solution], z: Tensor) -> bool:
    """Whether the gradient has a part outside the span of the known ones', at typical points."""
    own = gradient(solution, z)
    size = own.norm(dim=1)
    if float(size.median()) < 1e-3:
        return False
    if known:
        Q = torch.linalg.qr(torch.stack([gradient(other, z) for other in known], dim=2)).Q
        own = own - (Q @ (Q.mT @ own[:, :, None]))[:, :, 0]
    return float((own.norm(dim=1) / size.clamp_min(1e-300)).median()) > INDEPENDENT


def conserved_law(
    case: str, found: pde.Solution, truth: Callable[[Tensor], Tensor], started: float
) -> Law:
    """The formula of a network that is conserved, its largest coefficient 1."""
    model, z = found.model, found.problem.domain.sample(500, seed=5)
    names = list(model.input_names)
    H = found(z)
    model.auto_symbolic(snap=False, data=(z, (H - H.mean()) / H.std()))
    terms = sympy.expand(model.symbolic_formula())
    terms -= terms.as_independent(*terms.free_symbols)[0]
    scale = max((t.as_coeff_Mul()[0] for t in sympy.Add.make_args(terms)), key=abs)
    formula = sympy.expand(terms / scale)
    formula = sum(t for t in sympy.Add.make_args(formula) if abs(t.as_coeff_Mul()[0]) > SIMPLE)
    x = found.problem.domain.sample(500, seed=6)
    values = evaluate(formula, dict(zip(names, x.T, strict=True)))
    A = torch.stack([truth(x), torch.ones(len(x), dtype=x.dtype)], dim=1)
    fitted = (A @ torch.linalg.lstsq(A, values[:, None]).solution)[:, 0]
    error = float((values - fitted).abs().max() / values.std())
    return Law(case, formula, error, math.sqrt(found.loss), time.perf_counter() - started)


# --- the Lagrangian of a relativistic mass ------------------------------------------------------


def lagrangian(_: bool) -> Iterator[Law]:
    """Euler-Lagrange, L_q - v L_qv = a L_vv, for measured (q, v, a), in units of c = g = 1.

    L is free up to a factor and total derivatives: at q = v = 0 it is 0, without momentum, of mass 1.
    """
    started = time.perf_counter()
    box = pde.Box(q=(-1.0, 1.0), v=(-0.8, 0.8))
    z = box.sample(400, seed=0)
    a = (1 - z[:, 1].square()) ** 1.5  # of a mass whose momentum v / sqrt(1 - v^2) grows evenly

    def motion(u: pde.Field, rows: Tensor) -> Tensor:
        v, a = rows[:, 1], rows[:, 2]
        return u.q - v * u.qv - a * u.vv

    measured = pde.Condition(pde.Points(("q", "v"), z, a), motion)
    rest = pde.Condition(box.at(q=0.0, v=0.0), lambda u, _: (u.value, u.v, u.vv - 1))
    problem = pde.Problem(box, lambda u, _: 0.0 * u.value, [measured, rest], points=1)
    start = KAN([2, 1], basis="chebyshev", grid=30, seed=0, input_names=["q", "v"])
    found = pde.solve(start, problem, solver=LevenbergMarquardt(60))
    formula = discovered(z, found(z)[:, 0], ["q", "v"])
    x = box.sample(500, seed=6)
    truth = x[:, 0] + 1 - (1 - x[:, 1].square()).sqrt()
    off = float((found(x)[:, 0] - truth).abs().max() / truth.std())
    error = error_of(formula, ["q", "v"], x, truth)
    yield Law("relativistic mass, L", formula, error, off, time.perf_counter() - started)


# --- stresses of a rubber -----------------------------------------------------------------------

ENTRIES = [f"F{i}{j}" for i in (1, 2, 3) for j in (1, 2, 3)]
DETERMINANT = "F11*(F22*F33 - F23*F32) - F12*(F21*F33 - F23*F31) + F13*(F21*F32 - F22*F31)"


def kirchhoff(x: Tensor) -> Tensor:
    """mu (F F' - 1) + lambda log(det F) 1: x (B, 9) -> (B, 3, 3)."""
    F, one = x.view(-1, 3, 3), torch.eye(3, dtype=x.dtype)
    return MU * (F @ F.mT - one) + LAMBDA * torch.linalg.det(F).log()[:, None, None] * one


def piola(x: Tensor) -> Tensor:
    """The first Piola-Kirchhoff stress mu (F - F^-T) + lambda log(det F) F^-T: (B, 3, 3)."""
    return kirchhoff(x) @ torch.linalg.inv(x.view(-1, 3, 3)).mT


def stretched(stress: Callable[[Tensor], Tensor], i: int, j: int, rows: int) -> Dataset:
    """F = 1 + entries from -0.4 to 0.4, and one component of a stress."""
    ranges = [(0.6, 1.4) if n % 4 == 0 else (-0.4, 0.4) for n in range(9)]
    data = create_dataset(
        lambda x: stress(x)[:, i, j], n_var=9, ranges=ranges, train_num=rows, test_num=500
    )
    return as_dataset(data, input_names=ENTRIES)


def columns(data: Dataset, names: list[str]) -> Dataset:
    """The data with these inputs only."""
    places = [data.input_names.index(name) for name in names]
    train, test = (replace(rows, x=rows.x[:, places]) for rows in (data.train, data.test))
    return replace(data, train=train, test=test, input_names=tuple(names))


def neo_hookean(short: bool) -> Iterator[Law]:
    rows = 400 if short else 1500
    started = time.perf_counter()
    data = augment(stretched(kirchhoff, 0, 0, rows), {"J": DETERMINANT})
    data = columns(data, ["F11", "F12", "F13", "J"])
    yield stress_law("tau_11 of F, J", KAN([4, 1], grid=20, k=5), data, started)
    if short:
        return
    started = time.perf_counter()
    data = stretched(kirchhoff, 0, 1, rows)
    data = columns(data, ["F11", "F12", "F13", "F21", "F22", "F23"])
    first = KAN([6, [0, 3], 1], grid=3)
    first.fit(data, steps=60, restarts=1)
    yield stress_law("tau_12 of F", of_its_form(first), data, started)
    started = time.perf_counter()
    data = augment(stretched(piola, 0, 0, rows), {"J": DETERMINANT, "H11": "(F22*F33 - F23*F32)/J"})
    data = columns(data, ["F11", "H11", "J"])
    first = KAN([3, [2, 1], 1])
    first.fit(data, steps=100, restarts=1)
    yield stress_law("P_11 of F, F^-T, J", of_its_form(first), data, started)


def of_its_form(model: KAN) -> KAN:
    """A network of the form that a trained one has."""
    names = list(model.input_names)
    return compile_structure(model.structure(), names, grid=20, k=5, network=KAN)


def stress_law(case: str, model: KAN, data: Dataset, started: float) -> Law:
    model.fit(data)
    with torch.no_grad():
        off = (model(data.test.x) - data.test.y).square().mean().sqrt()
    spread = data.test.y.std()
    model.auto_symbolic()
    formula = sympy.expand(model.symbolic_formula())
    error = error_of(formula, list(model.input_names), data.test.x, data.test.y[:, 0])
    return Law(case, formula, error, float(off / spread), time.perf_counter() - started)


# --- the time of falling observers --------------------------------------------------------------


def black_hole(_: bool) -> Iterator[Law]:
    """T(t, r) that makes space flat around a mass of 1 (radius 2), with G = c = 1.

    ds^2 = -f dt^2 + dr^2 / f + r^2 dOmega^2, f = 1 - 2 / r, has in (T, r) the radial part
    1 / f - f T_r^2 / T_t^2: it must be 1. The unit of T is that of t, T_t = 1, and T(0, 6) = 0.
    """
    started = time.perf_counter()

    def flat(u: pde.Field, x: Tensor) -> tuple[Tensor, Tensor]:
        f = 1 - 2 / x[:, 1]
        return 1 / f - f * (u.r / u.t).square() - 1, u.t - 1

    box = pde.Box(t=(-1.0, 1.0), r=(3.0, 10.0))
    origin = pde.Condition(box.at(t=0.0, r=6.0), lambda u, _: u.value, points=1)
    problem = pde.Problem(box, flat, [origin], points=400)
    # from straight lines, so that T_r has one sign: T_r and -T_r solve the problem, piece by piece too
    options = {"basis": "chebyshev", "base_fun": "identity", "noise_scale": 0.0}
    start = KAN([2, 1], grid=30, input_names=["t", "r"], **options)
    found = pde.solve(start, problem, solver=LevenbergMarquardt(60))
    x = box.sample(500, seed=0)
    slope = discovered(x[:, [1]], found.field(x, "r").r, ["r"])
    r = next(iter(slope.free_symbols))
    radius = sympy.Symbol("r", positive=True)
    part = sympy.integrate(slope.xreplace({r: radius}), radius)
    formula = sympy.Symbol("t") + sympy.expand(part) - part.subs(radius, 6).evalf()
    formula = formula.xreplace({radius: sympy.Symbol("r")})
    x = box.sample(500, seed=6)
    sign = float(found.field(x, "r").r.mean().sign())
    truth = x[:, 0] + sign * (_infall(x[:, 1]) - _infall(torch.tensor(6.0, dtype=x.dtype)))
    off = float((found(x)[:, 0] - truth).abs().max() / truth.std())
    error = error_of(formula, ["t", "r"], x, truth)
    yield Law("black hole, T", formula, error, off, time.perf_counter() - started)


def _infall(r: Tensor) -> Tensor:
    """2 (2 u + log((u - 1) / (u + 1))), u = sqrt(r / 2): how far T runs ahead of t at r."""
    u = (r / 2).sqrt()
    return 4 * u + 2 * ((u - 1) / (u + 1)).log()


CASES: dict[str, Callable[[bool], Iterator[Law]]] = {
    "oscillator-1": oscillator_1,
    "oscillator-2": oscillator_2,
    "lagrangian": lagrangian,
    "neo-hookean": neo_hookean,
    "black-hole": black_hole,
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument(
        "--short", action="store_true", help="the first law of each case, from fewer points"
    )
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print("| case | law | error | network's | seconds |\n|---|---|---|---|---|")
    for case in chosen.cases:
        for law in CASES[case](chosen.short):
            print(law.row(), flush=True)


if __name__ == "__main__":
    main()
