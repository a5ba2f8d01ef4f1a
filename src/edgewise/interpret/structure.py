"""A function as a tree of sums, products, symmetries and curves, as far as its derivatives show it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from edgewise.errors import InputError
from edgewise.interpret.forms import Node, Structure
from edgewise.interpret.groups import curves, grouped
from edgewise.interpret.identities import (
    Derivatives,
    Finding,
    Function,
    additive,
    blocks,
    derivatives,
    multiplicative,
    offsets,
    symmetry,
    unused,
)

_MOST = 10  # inputs: groups of them are tried one by one


def structure(
    f: Function, x: Tensor, *, error: float = 0.0, names: Sequence[str] | None = None
) -> Structure:
    """What form f has on the rows x (B, n), given that it is known up to ``error`` (rms).

    f: a function or network of one output, each row by itself, twice differentiable by autograd. The
    tests are those of ``interpret.identities``, from the plain to the general: inputs that do not count;
    sums; products, also with a constant added; pairs that act as one; inputs that act through one sum
    of curves; groups that act as one. Each part is looked at in the same way; parts of a sum or product
    are taken with the other inputs at a typical row. Raises InputError for more than 10 inputs.
    """
    n = x.shape[1]
    if n > _MOST:
        raise InputError(f"{n} inputs came, and at most {_MOST} can be told apart; prune first.")
    labels = [f"x_{i + 1}" for i in range(n)] if names is None else list(names)
    if len(labels) != n:
        raise InputError(f"{len(labels)} names came for {n} inputs.")
    search = _Search(error)
    tree = search.explain(f, x.detach().double(), [Node("input", label) for label in labels])
    return Structure(tree, tuple(search.findings), error)


class _Search:
    """The tests that held so far, and the error."""

    def __init__(self, error: float) -> None:
        self.error = error
        self.findings: list[tuple[Finding, tuple[str, ...]]] = []

    def note(self, findings: Sequence[Finding], parts: Sequence[Node]) -> None:
        for finding in findings:
            if finding.holds:
                self.findings.append((finding, tuple(str(parts[i]) for i in finding.inputs)))

    def explain(self, f: Function, x: Tensor, parts: list[Node]) -> Node:
        """f (B, n) -> (B,) with ``parts`` as its n inputs."""
        d = derivatives(f, x, self.error)
        idle = unused(d)
        if len(idle) == len(parts):
            return Node("input", f"{float(d.value.mean()):.4g}")
        if idle:
            kept = [i for i in range(len(parts)) if i not in idle]
            return self.explain(_part(f, d, kept), x[:, kept], [parts[i] for i in kept])
        if len(parts) == 1:
            return Node("curve", children=(parts[0],))
        found = self._split(f, d, parts) or self._pair(f, d, parts) or self._curves(d, parts)
        return found or self._group(f, d, parts) or Node("function", children=tuple(parts))

    def _split(self, f: Function, d: Derivatives, parts: list[Node]) -> Node | None:
        tests = additive(d)
        sets = blocks(len(parts), tests)
        kind, text = "sum", ""
        if len(sets) == 1:
            tried = [(c, multiplicative(d, c)) for c in offsets(d)]
            many = max(len(blocks(len(parts), found)) for _, found in tried)
            c, tests = next(t for t in tried if len(blocks(len(parts), t[1])) == many)
            sets = blocks(len(parts), tests)
            kind, text = "product", "" if c == 0.0 else f"{c:.4g}"
        if len(sets) == 1:
            return None
        self.note(tests, parts)
        children = [
            self.explain(_part(f, d, chosen), d.x[:, list(chosen)], [parts[i] for i in chosen])
            for chosen in sets
        ]
        # constants of a sum's parts are one; that of a factor has the factor's own, unknown unit
        constant = {"sum": "", "product": "c"}[kind]
        return Node(kind, text, tuple(_with_constant(child, constant) for child in children))

    def _pair(self, f: Function, d: Derivatives, parts: list[Node]) -> Node | None:
        for i, j in combinations(range(len(parts)), 2):
            for test in symmetry(d, i, j):
                if not test.holds:
                    continue
                self.note([test], parts)
                held = d.x[:, j]
                if test.test == "x*y":  # of one product all y are as good, but for 0
                    held = torch.where(held == 0, held.abs().max(), held)
                form, u, place = _combined(test, d.x[:, i], d.x[:, j], held)
                x = d.x.clone()
                x[:, i] = u
                kept = [k for k in range(len(parts)) if k != j]
                new = list(parts)
                new[i] = Node("combination", form, (parts[i], parts[j]))
                reduced = _reduced(f, i, j, place, held)
                return self.explain(reduced, x[:, kept], [new[k] for k in kept])
        return None

    def _curves(self, d: Derivatives, parts: list[Node]) -> Node | None:
        """The largest set of inputs that act through one sum of curves."""
        n = len(parts)
        pairs = [c for c in (curves(d, pair) for pair in combinations(range(n), 2)) if c.holds]
        linked = {test.inputs for test in pairs}
        for size in range(n, 1, -1):
            for chosen in combinations(range(n), size):
                if not all(pair in linked for pair in combinations(chosen, 2)):
                    continue
                test = curves(d, chosen) if size > 2 else None
                if test is not None and not test.holds:
                    continue
                self.note([t for t in pairs if set(t.inputs) <= set(chosen)], parts)
                inner = Node("sum", "", tuple(Node("curve", "", (parts[i],)) for i in chosen))
                others = [parts[k] for k in range(n) if k not in chosen]
                return Node("function" if others else "curve", "", (inner, *others))
        return None

    def _group(self, f: Function, d: Derivatives, parts: list[Node]) -> Node | None:
        """The largest sets of inputs that act as one, without overlap."""
        n = len(parts)
        left, groups = set(range(n)), []
        for size in range(n - 1, 1, -1):
            for chosen in combinations(range(n), size):
                test = grouped(d, chosen)
                if test.holds and set(chosen) <= left:
                    self.note([test], parts)
                    groups.append(chosen)
                    left -= set(chosen)
        if not groups:
            return None
        inner = [
            self.explain(_part(f, d, chosen), d.x[:, list(chosen)], [parts[i] for i in chosen])
            for chosen in groups
        ]
        return Node("function", "", (*inner, *(parts[i] for i in sorted(left))))


def _with_constant(node: Node, text: str) -> Node:
    return Node(node.kind, text, node.children) if node.kind == "product" and node.text else node


def _part(f: Function, d: Derivatives, chosen: Sequence[int]) -> Function:
    """f of the chosen inputs, the others as in a row with a rather large value."""
    size = (d.value - d.value.mean()).abs() if float(d.value.min()) < 0 else d.value
    row = d.x[int(size.argsort()[3 * len(size) // 4])]

    def restricted(v: Tensor) -> Tensor:
        columns = list(row.expand(len(v), -1).unbind(1))
        for place, column in zip(chosen, v.unbind(1), strict=True):
            columns[place] = column
        return f(torch.stack(columns, dim=1))

    return restricted


def _reduced(f: Function, i: int, j: int, place: Function, held: Tensor) -> Function:
    """f without input j, which stays at ``held``; input i is now u, and x_i = place(u)."""

    def reduced(v: Tensor) -> Tensor:
        rest = list(v.unbind(1))
        rest[i] = place(rest[i])
        rest.insert(j, held)
        return f(torch.stack(rest, dim=1))

    return reduced


def _combined(test: Finding, x: Tensor, y: Tensor, held: Tensor) -> tuple[str, Tensor, Function]:
    """The form of the pair, its values u, and u -> x with y held."""
    a = test.ratio
    if test.test == "x - y":
        return "{0} - {1}", x - y, lambda u: u + held
    if test.test == "x + y":
        return "{0} + {1}", x + y, lambda u: u - held
    if test.test == "x*y":
        return "{0}*{1}", x * y, lambda u: u / held
    if test.test == "x/y":
        return "{0}/{1}", x / y, lambda u: u * held
    if test.test == "a*x + y":
        return f"{a:.4g}*{{0}} + {{1}}", a * x + y, lambda u: (u - held) / a
    return f"{{0}}^{a:.4g}*{{1}}", x**a * y, lambda u: (u / held) ** (1 / a)
