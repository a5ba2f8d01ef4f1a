"""Norms, residual blocks and stacks as ordinary torch modules."""

import pytest
import torch
from torch import nn

from edgewise import bases
from edgewise.errors import InputError
from edgewise.nn import KANBlock, KANLayer, stack

NORMS = [None, "layer", "batch"]
every_norm = pytest.mark.parametrize("norm", NORMS)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def rows(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed))


@every_norm
def test_a_block_adds_its_layers_to_its_input(norm):
    block = KANBlock(4, 6, norm=norm, generator=generator())
    x = rows(7, 4)
    torch.testing.assert_close(block(x) - x, block.second(block.first(block.norm(x))))
    for layer in (block.first, block.second):
        layer.coef.data.zero_()
        layer.scale_base.data.zero_()
    assert torch.equal(block(x), x)


@every_norm
@pytest.mark.parametrize("residual", [False, True])
def test_a_stack_has_its_widths_for_any_leading_dimensions(norm, residual):
    model = stack([3, 5, 5, 2], norm=norm, residual=residual, generator=generator())
    layers = [part for part in model.modules() if isinstance(part, KANLayer)]
    assert [(l.in_features, l.out_features) for l in layers] == [(3, 5), (5, 5), (5, 2)]
    flat = model.eval()(rows(6, 3))
    torch.testing.assert_close(model(rows(6, 3).view(2, 1, 3, 3)), flat.view(2, 1, 3, 2))
    flat.sum().backward()
    slopes = [p.grad for layer in layers for p in (layer.coef, layer.scale_base)]
    assert all(bool(g.isfinite().all()) and bool(g.any()) for g in slopes)


def test_a_plain_stack_is_its_layers_one_after_the_other():
    model = stack([3, 5, 2], "bspline", generator=generator())
    drawn, x = generator(), rows(4, 3)
    by_hand = nn.Sequential(KANLayer(3, 5, generator=drawn), KANLayer(5, 2, generator=drawn))
    assert torch.equal(model(x), by_hand(x))


@every_norm
def test_norms_stand_before_every_layer_but_the_first_and_widen_its_range(norm):
    model = stack([3, 5, 5, 2], norm=norm)
    kinds = (nn.LayerNorm, nn.BatchNorm1d)
    order = [part for part in model.modules() if isinstance(part, (*kinds, KANLayer))]
    expected = [KANLayer] + (
        [KANLayer] * 2 if norm is None else [kinds[norm == "batch"], KANLayer] * 2
    )
    assert [type(part) for part in order] == expected
    ranges = [part.basis.range for part in order if isinstance(part, KANLayer)]
    assert ranges == [(-1.0, 1.0)] + [(-1.0, 1.0) if norm is None else (-2.0, 2.0)] * 2
    own = bases.BSpline(4, range=(0.0, 3.0))
    layers = (part for part in stack([3, 5, 2], own, norm=norm) if isinstance(part, KANLayer))
    assert all(layer.basis == own for layer in layers)


def test_a_norm_is_that_of_torch_over_features():
    x = 5 + 3 * rows(4, 9, 3)
    for norm, statistics in (("layer", (-1,)), ("batch", (0, 1))):
        y = KANBlock(3, norm=norm).norm(x)
        torch.testing.assert_close(
            y.mean(statistics), torch.zeros_like(y.mean(statistics)), atol=1e-5, rtol=0
        )


@pytest.mark.parametrize("family", sorted(bases.FAMILIES))
def test_every_family_stacks_in_both_precisions(family):
    for dtype in (torch.float32, torch.float64):
        model = stack([2, 4, 4, 1], family, norm="layer", residual=True, dtype=dtype)
        y = model(rows(5, 2).to(dtype))
        assert y.dtype == dtype and bool(y.isfinite().all())


def test_what_makes_no_stack_is_named():
    with pytest.raises(InputError, match="at least inputs and outputs"):
        stack([3])
    with pytest.raises(InputError, match=r"'instance'.*batch"):
        stack([3, 3, 1], norm="instance")
