"""Quotients of polynomials are found under noise, with the terms that the law has and no others."""

from __future__ import annotations

import pytest
import sympy
import torch

from edgewise.symbolic.evaluate import evaluate, symbol
from edgewise.symbolic.rationals import rationals

A, B, C = (symbol(name) for name in "abc")
LAWS = {
    "sum of velocities": (A + B) / (1 + A * B),
    "reduced mass": A * B / (1 + 2 * A + B),
    "square in both": (1 + 3 * A**2) / (1 + B**2),
    "polynomial": 2 * A - A * B,
    "root": sympy.sqrt((A + 2 * B) / (1 + A * B)),
    "three": (A + B * C) / (1 + A * C),
    "negative": -(A**2) / (1 + B),
}


@pytest.mark.parametrize("noise", [0.001, 0.01, 0.03])
@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_a_quotient_is_found_term_by_term(law, noise):
    draw = torch.Generator().manual_seed(2)
    symbols = sorted(law.free_symbols, key=str)
    z = 0.2 + 2 * torch.rand(2500, len(symbols), generator=draw, dtype=torch.float64)
    columns = {s.name: column for s, column in zip(symbols, z.unbind(1), strict=True)}
    truth = evaluate(law, columns)
    size = float(truth.square().mean().sqrt())
    y = truth + noise * size * torch.randn(len(z), generator=draw, dtype=torch.float64)
    found = list(rationals(z, y, torch.ones_like(y), symbols))
    errors = [float((evaluate(f, columns) - truth).square().mean().sqrt()) for f in found]
    best = found[errors.index(min(errors))]
    assert min(errors) < 0.2 * noise * size
    counts = [len([n for n in sympy.preorder_traversal(f) if n in symbols]) for f in (best, law)]
    assert counts[0] == counts[1]


def test_what_is_no_quotient_of_few_terms_is_not_offered():
    draw = torch.Generator().manual_seed(3)
    z = 0.2 + 6 * torch.rand(2500, 2, generator=draw, dtype=torch.float64)
    y = torch.sin(3 * z[:, 0]) * torch.cos(2 * z[:, 1]) + 0.01 * torch.randn(
        2500, generator=draw, dtype=torch.float64
    )
    for found in rationals(z, y, torch.ones_like(y), [A, B]):
        value = evaluate(found, {"a": z[:, 0], "b": z[:, 1]})
        assert float((value - y).square().mean()) > 0.1
