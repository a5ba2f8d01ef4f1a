"""The squares that an equation leaves on points, with the curvature that Gauss-Newton needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edgewise.nn import Network
from edgewise.nn.jacobian import Layout, layout, pack, unpack
from edgewise.optim.symmetric import add_gram, mirror
from edgewise.pde import jets
from edgewise.pde.field import Field, orders_of, residual
from edgewise.pde.orders import Index, Orders
from edgewise.pde.problem import Ansatz, Condition, Problem

# Rows of the Jacobian are made in blocks of at most this many numbers (32 MiB in float64).
_BLOCK = 1 << 22


@dataclass(frozen=True)
class Placed:
    """The ansatz at points: the jets of the network's inputs, of times and of plus; None: left out."""

    inputs: Tensor
    times: Tensor | None
    plus: Tensor | None
    orders: Orders

    @classmethod
    def at(cls, ansatz: Ansatz, x: Tensor, orders: Orders) -> Placed:
        inputs = jets.jet_of(ansatz.inputs or (lambda point: point), x, orders)
        times, plus = (
            None if f is None else jets.jet_of(f, x, orders) for f in (ansatz.times, ansatz.plus)
        )
        return cls(inputs, times, plus, orders)

    def run(self, model: Network) -> tuple[Tensor, list[jets.LayerJets]]:
        """The jet of u (B, M, Y), and what the way back needs."""
        u, passes = jets.run(model, self.inputs, self.orders)
        if self.times is not None:
            u = self.orders.multiply(self.times, u)
        return (u if self.plus is None else u + self.plus), passes

    def back(self, S: Tensor) -> Tensor:
        """Sensitivities to the jet of u (B, R, M, Y) -> to that of the network."""
        return S if self.times is None else self.orders.multiply_back(S, self.times[:, None])


@dataclass(frozen=True)
class Term:
    """A condition on points x (N, d ..), with a share a point: sum_n share_n |r_n|^2 is its loss."""

    condition: Condition
    x: Tensor
    placed: Placed
    share: Tensor

    @property
    def names(self) -> tuple[str, ...]:
        return self.condition.region.names


class Residuals:
    """A problem on fixed points as functions of a model and of theta, which holds the free parameters
    of the model and then the unknown numbers."""

    def __init__(self, problem: Problem, model: Network, unknowns: Mapping[str, float]) -> None:
        self.problem, self.model = problem, model
        self.unknowns = tuple(unknowns)
        self.at: Layout = layout(model)
        self.terms: list[Term] = []

    def placed(self, condition: Condition, x: Tensor) -> Placed:
        """The ansatz at points x, with the derivatives that the condition needs."""
        d, Y = len(condition.region.names), self.model.nodes[-1].out_features
        orders = orders_of(condition.equation, condition.region.names, Y, self.unknowns, x[:2])
        jets.check(self.model, orders.highest)
        return Placed.at(self.problem.ansatz, x[:, :d], orders)

    def place(self, points: Sequence[Tensor], weights: Sequence[Tensor | None]) -> None:
        """Set the points of each term, and weights of mean 1 (N,) or None for equal ones."""
        self.terms = []
        for condition, x, weight in zip(self.problem.terms, points, weights, strict=True):
            x = x.to(self.model.layers[0].coef)
            share = x.new_full((len(x),), condition.weight / max(len(x), 1))
            share = share if weight is None else share * weight
            self.terms.append(Term(condition, x, self.placed(condition, x), share))

    def left(self, term: Term, u: Tensor, unknown: Tensor) -> Tensor:
        """r (N, E) from the jet of u (N, M, Y) and the unknown numbers (Q,) or (N, Q)."""
        columns = unknown.expand(len(u), -1).unbind(1)

        def lookup(index: Index) -> Tensor:
            return u[:, term.placed.orders.place(index)]

        named = dict(zip(self.unknowns, columns, strict=True))
        return residual(
            term.condition.equation, Field(term.names, u.shape[2], lookup, named), term.x
        )

    @torch.no_grad()
    def size(self, condition: Condition, x: Tensor, unknown: Tensor) -> Tensor:
        """|r| (N,) at points x."""
        x = x.to(self.model.layers[0].coef)
        term = Term(condition, x, self.placed(condition, x), x[:, 0])
        u, _ = term.placed.run(self.model)
        return self.left(term, u, unknown).norm(dim=1)

    def loss(self, unknown: Tensor) -> Tensor:
        """The loss of the model as it is, differentiable."""
        total = unknown.new_zeros(())
        for term in self.terms:
            u, _ = term.placed.run(self.model)
            total = total + (term.share[:, None] * self.left(term, u, unknown).square()).sum()
        return total

    def theta(self, unknown: Tensor) -> Tensor:
        return torch.cat([pack(self.model, self.at), unknown])

    def unpack(self, theta: Tensor) -> Tensor:
        """Write theta into the model; the unknown numbers (Q,)."""
        unpack(self.model, self.at, theta[: self.at.size])
        return theta[self.at.size :]

    @torch.no_grad()
    def value(self, theta: Tensor) -> float:
        return float(self.loss(self.unpack(theta)))

    @torch.no_grad()
    def linearise(self, theta: Tensor) -> tuple[float, Tensor, Tensor]:
        """Loss, Gauss-Newton matrix and gradient at theta."""
        jets.check_weights_only(self.model)
        unknown, P, total = self.unpack(theta), self.at.size, 0.0
        # [J, r]: one symmetric product makes J'J and, in the last column, J'r
        products = theta.new_zeros(len(theta) + 1, len(theta) + 1)
        for term in self.terms:
            if not len(term.x):
                continue
            u, passes = term.placed.run(self.model)
            r, S, Q = self._slopes(term, u, unknown)
            total += float((term.share[:, None] * r.square()).sum())
            scale = (2.0 * term.share).sqrt()[:, None, None]
            S, E = term.placed.back(S), r.shape[1]
            rows = max(1, _BLOCK // ((len(theta) + 1) * E))
            for start in range(0, len(r), rows):
                part = slice(start, start + rows)
                J = theta.new_zeros(len(r[part]), E, len(theta) + 1)
                own = [_rows(values, part) for values in passes]
                jets.pull_back(self.model, self.at, own, S[part], J[..., :P], term.placed.orders)
                J[..., P:-1], J[..., -1] = Q[part], r[part]
                add_gram(products, (J * scale[part]).flatten(0, 1))
        mirror(products)
        return total, products[:-1, :-1], products[:-1, -1].contiguous()

    def _slopes(self, term: Term, u: Tensor, unknown: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """r (N, E), dr/du (N, E, M, Y) and dr/dq (N, E, Q): rows depend on their own jets only."""
        with torch.enable_grad():
            u = u.detach().requires_grad_()
            q = unknown.expand(len(u), -1).clone().requires_grad_()
            r = self.left(term, u, q)
            S, Q = [], []
            for e in range(r.shape[1]):
                slopes = torch.autograd.grad(
                    r[:, e].sum(),
                    (u, q),
                    retain_graph=True,
                    allow_unused=True,
                    materialize_grads=True,
                )
                S.append(slopes[0])
                Q.append(slopes[1])
        return r.detach(), torch.stack(S, dim=1), torch.stack(Q, dim=1)


def _rows(values: jets.LayerJets, part: slice) -> jets.LayerJets:
    plain = [f[part] for f in values.plain]
    return jets.LayerJets(values.z[part], values.sums[part], plain, values.joined[part])
