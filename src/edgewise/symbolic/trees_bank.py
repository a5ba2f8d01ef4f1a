"""Every short expression over a few columns, by its values on a few rows: a bank to look things up.

Trees grow by cost: a leaf costs 1, a unary function 1 or 2 more than its argument, a binary operation
1 more than its two sides. A tree is its values (P,); of trees that agree on all rows the first, which
is the cheapest, is kept. All work is on whole blocks of values (n, P).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from sympy import Expr
from torch import Tensor

from edgewise.symbolic.primitives import Primitive
from edgewise.symbolic.trees_leaves import Leaf, functions, seeds

# f(g(u)) that are no new tree
_ROOT_OF = {("sqrt", "x^2"), ("x^2", "sqrt"), ("1/x", "1/x")}

_LEAF, _UNARY, _BINARY = 0, 1, 100
_ADD, _SUBTRACT, _TIMES, _OVER = range(_BINARY, _BINARY + 4)

_LARGEST, _SMALLEST = 1e9, 1e-9
_BLOCK = 8192


class Bank:
    """Trees with their values (M, P), cheapest first.

    A tree is (op, left, right): a leaf and its number, a function and its argument, or a binary
    operation on two earlier trees. ``bent``: a transcendental function is inside; such a tree is no
    argument of another one.
    """

    def __init__(self, x: Tensor, names: Sequence[str], lib: Sequence[Primitive] | None) -> None:
        self.functions = functions(lib)
        P = len(x)
        self.values = x.new_empty(0, P)
        self.op, self.left, self.right = (torch.empty(0, dtype=torch.int32) for _ in range(3))
        self.cost = torch.empty(0, dtype=torch.int32)
        self.bent = torch.empty(0, dtype=torch.bool)
        self.leaves: list[Leaf] = []
        self.level = 0
        generator = torch.Generator().manual_seed(0)
        self._direction = torch.randn(P, generator=generator, dtype=x.dtype)
        self._keys = torch.empty(0, dtype=torch.int64)
        self._seeds = seeds(x, names, self.functions)

    def __len__(self) -> int:
        return len(self.values)

    def grow(self, most: int, expired: Callable[[], bool]) -> bool:
        """One level more, at most ``most`` trees in all; False when it is full or time is over.

        A level that was cut short is done again by the next call: what is there is not new.
        """
        self.level += 1
        if self._grown(most, expired):
            return True
        self.level -= 1
        return False

    def _grown(self, most: int, expired: Callable[[], bool]) -> bool:
        level = self.level
        self._plant(level)
        for n, f in enumerate(self.functions):
            parents = self._of_cost(level - f.cost)
            if f.bent:
                parents = parents[~self.bent[parents]]
            parents = parents[self.values[parents].amax(1) > self.values[parents].amin(1)]
            banned = [k for k, g in enumerate(self.functions) if (f.name, g.name) in _ROOT_OF]
            for k in banned:
                parents = parents[self.op[parents] != _UNARY + k]
            for part in parents.split(_BLOCK):
                if expired() or len(self) >= most:
                    return False
                self._add(f.torch(self.values[part]), _UNARY + n, part, part)
        for i in range(1, level - 1):
            j = level - 1 - i
            if i <= j and not self._combine(i, j, most, expired):
                return False
        return len(self) < most

    def _plant(self, level: int) -> None:
        seeds = self._seeds.pop(level, [])
        if seeds:
            number = torch.arange(len(self.leaves), len(self.leaves) + len(seeds))
            self.leaves += [e for e, _, _ in seeds]
            bent = torch.tensor([b for _, _, b in seeds])
            self._add(torch.stack([v for _, v, _ in seeds]), _LEAF, number, number, bent)

    def _combine(self, i: int, j: int, most: int, expired: Callable[[], bool]) -> bool:
        lefts, rights = self._of_cost(i), self._of_cost(j)
        if not len(rights):
            return True
        for part in lefts.split(max(1, _BLOCK // len(rights))):
            for other in rights.split(_BLOCK):
                a, b = part.repeat_interleave(len(other)), other.repeat(len(part))
                if i == j:
                    a, b = a[a <= b], b[a <= b]
                u, v = self.values[a], self.values[b]
                for op in (_ADD, _SUBTRACT, _TIMES, _OVER):
                    if expired() or len(self) >= most:
                        return False
                    if op == _ADD:
                        self._add(u + v, op, a, b)
                    elif op == _TIMES:
                        self._add(u * v, op, a, b)
                    elif op == _OVER:
                        self._add(u / v, op, a, b)
                        self._add(v / u, op, b, a)
                    else:
                        # the difference that is mostly positive: roots and logarithms want it
                        turn = ((v - u).sign().sum(1) > 0)[:, None]
                        first, second = torch.where(turn[:, 0], b, a), torch.where(turn[:, 0], a, b)
                        self._add(torch.where(turn, v - u, u - v), op, first, second)
        return True

    def _of_cost(self, cost: int) -> Tensor:
        return (self.cost == cost).nonzero()[:, 0]

    def _add(
        self, values: Tensor, op: int, left: Tensor, right: Tensor, bent: Tensor | None = None
    ) -> None:
        """Those that are finite, of sensible size, not constant unless leaves, and new."""
        top, low = values.amax(1), values.amin(1)
        size = torch.maximum(top.abs(), low.abs())
        good = (size < _LARGEST) & (size > _SMALLEST)  # NaN compares false
        if op != _LEAF:
            good &= top - low > 1e-9 * size
        if bent is None:
            bent = self.bent[left] | self.bent[right]
            if _UNARY <= op < _BINARY:
                bent = bent | self.functions[op - _UNARY].bent
        keys = _keys(values @ self._direction)
        place = torch.searchsorted(self._keys, keys)
        if len(self._keys):
            good &= self._keys[place.clamp_max(len(self._keys) - 1)] != keys
        kept = good.nonzero()[:, 0]
        kept = kept[_first(keys[kept])]
        if not len(kept):
            return
        n = len(kept)
        self.values = torch.cat([self.values, values[kept]])
        self.op = torch.cat([self.op, torch.full((n,), op, dtype=torch.int32)])
        self.left = torch.cat([self.left, left[kept].int()])
        self.right = torch.cat([self.right, right[kept].int()])
        self.bent = torch.cat([self.bent, bent[kept]])
        self.cost = torch.cat([self.cost, torch.full((n,), self.level, dtype=torch.int32)])
        self._keys = torch.cat([self._keys, keys[kept]]).sort().values

    def expression(self, tree: int) -> Expr:
        """The tree as a sympy expression."""
        op, left, right = int(self.op[tree]), int(self.left[tree]), int(self.right[tree])
        if op == _LEAF:
            return self.leaves[left].expression()
        a = self.expression(left)
        if op < _BINARY:
            return self.functions[op - _UNARY].sympy(a)
        b = self.expression(right)
        return {_ADD: a + b, _SUBTRACT: a - b, _TIMES: a * b}[op] if op != _OVER else a / b

    def evaluate(self, tree: int, leaf: Callable[[int], Tensor]) -> Tensor:
        """The tree's values (N,) on other rows, where ``leaf`` gives those of leaves."""
        op, left, right = int(self.op[tree]), int(self.left[tree]), int(self.right[tree])
        if op == _LEAF:
            return leaf(left)
        a = self.evaluate(left, leaf)
        if op < _BINARY:
            return self.functions[op - _UNARY].torch(a)
        b = self.evaluate(right, leaf)
        return {_ADD: a + b, _SUBTRACT: a - b, _TIMES: a * b, _OVER: a / b}[op]

    def images(
        self, most: int, rows: int, block: int, expired: Callable[[], bool]
    ) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Every function of the first trees, one level deeper than the bank is: the function, the
        trees and the values (n, rows) of f(tree), in blocks. They are not kept: see `keep_image`."""
        for part in torch.arange(min(most, len(self))).split(block):
            u = self.values[part, :rows]
            u, part = u[u.amax(1) > u.amin(1)], part[u.amax(1) > u.amin(1)]
            for n, f in enumerate(self.functions):
                if expired():
                    return
                value = f.torch(u)
                good = torch.isfinite(value).all(1) & (value.abs().amax(1) < _LARGEST)
                yield n, part[good], value[good]

    def keep_image(self, function: int, tree: int) -> int:
        """The tree f(tree) in the bank, as a last one outside all levels; its number."""
        f = self.functions[function]
        value, cost = f.torch(self.values[tree]), int(self.cost[tree]) + f.cost
        return self._append(value, _UNARY + function, tree, tree, cost)

    def keep_product(self, left: int, right: int) -> int:
        """The product of two trees, kept in the same way."""
        cost = int(self.cost[left] + self.cost[right]) + 1
        return self._append(self.values[left] * self.values[right], _TIMES, left, right, cost)

    def _append(self, value: Tensor, op: int, left: int, right: int, cost: int) -> int:
        self.values = torch.cat([self.values, value[None]])
        for name, entry in (
            ("op", op), ("left", left), ("right", right), ("cost", cost), ("bent", True),
        ):  # fmt: skip
            old = getattr(self, name)
            setattr(self, name, torch.cat([old, torch.tensor([entry], dtype=old.dtype)]))
        return len(self) - 1


def _keys(projection: Tensor) -> Tensor:
    """Whole numbers that agree when the floats agree to ten digits."""
    mantissa, exponent = torch.frexp(projection)
    # NaN and infinity have no key; such trees are left out by their size
    mantissa = torch.nan_to_num(mantissa, 0.0, 0.0, 0.0)
    return (mantissa * 2.0**34).round().long() + (exponent.long() << 40)


def _first(keys: Tensor) -> Tensor:
    """Indices of the first of each key, in order."""
    order = keys.argsort(stable=True)
    new = torch.ones(len(keys), dtype=torch.bool)
    new[1:] = keys[order][1:] != keys[order][:-1]
    return order[new].sort().values


def affinely_different(values: Tensor) -> Tensor:
    """Indices of trees that are no affine map c e + d of an earlier one, and not constant."""
    n = normalised(values)
    generator = torch.Generator().manual_seed(1)
    g = torch.randn(n.shape[1], generator=generator, dtype=n.dtype)
    varied = torch.isfinite(n).all(1) & (n.abs().amax(1) < math.sqrt(0.97))
    kept = varied.nonzero()[:, 0]
    return kept[_first(_keys((n[kept] @ g).abs()))]


def normalised(values: Tensor) -> Tensor:
    """(e - mean) / |e - mean|, rows of length 1; NaN for constants."""
    centred = values - values.mean(-1, keepdim=True)
    return centred / centred.norm(dim=-1, keepdim=True)
