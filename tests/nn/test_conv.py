"""KAN convolutions against the one layer on patches cut out by hand, and torch's for shapes."""

import itertools
import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from edgewise import bases
from edgewise.errors import InputError, ShapeError
from edgewise.nn import (
    KANConv1d,
    KANConv2d,
    KANConv3d,
    KANConvTranspose1d,
    KANConvTranspose2d,
    KANConvTranspose3d,
    KANLayer,
    update_grids,
)

CONVOLUTIONS = {1: KANConv1d, 2: KANConv2d, 3: KANConv3d}
TRANSPOSED = {1: KANConvTranspose1d, 2: KANConvTranspose2d, 3: KANConvTranspose3d}
PLAIN = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
PLAIN_TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
SIZES = (7, 6, 5)

every_family = pytest.mark.parametrize("family", sorted(bases.FAMILIES))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=generator(seed))


def made(kind, *sizes, **options):
    """A layer in float64 whose channels have ranges of their own."""
    options = {"dtype": torch.float64, "generator": generator(), **options}
    layer = kind(*sizes, **options)
    C, dims = layer.in_channels, layer.dims
    spread = torch.linspace(0.5, 2, C, dtype=torch.float64).view(C, *[1] * dims)
    layer.update_grid(normal(4, C, *SIZES[:dims], seed=9) * spread)
    if layer.bias is not None:
        nn.init.normal_(layer.bias, generator=generator(1))
    return layer


def edge_layer(conv, channels, outputs, weight):
    """A KANLayer whose inputs are these channels and whose edges have weights (outputs, I, F)."""
    layer = KANLayer(len(channels), outputs, conv.basis, base=conv.base, dtype=torch.float64)
    K = conv.basis.size
    tensors = {name: t.detach()[channels] for name, t in conv.basis_tensors.items()}
    layer.set_basis(conv.basis, tensors, weight[..., :K])
    with torch.no_grad():
        layer.scale_base.zero_()
        if conv.base != "zero":
            layer.scale_base.copy_(weight[..., K])
    return layer


def patch_by_patch(conv, x, margins):
    """y place by place: the patch under the kernel, cut from padded x, goes through a KANLayer."""
    dims, g = conv.dims, conv.groups
    C, O = conv.in_channels // g, conv.out_channels // g
    mode = {"zeros": "constant"}.get(conv.padding_mode, conv.padding_mode)
    inside = functional.pad(torch.ones_like(x), margins)
    x = functional.pad(x, margins, mode)
    n = math.prod(conv.kernel_size)
    shape = [
        (size - d * (k - 1) - 1) // s + 1
        for size, k, s, d in zip(
            x.shape[2:], conv.kernel_size, conv.stride, conv.dilation, strict=True
        )
    ]
    y = x.new_zeros(len(x), conv.out_channels, *shape)
    weight = conv.weight.detach().view(g, O, C, -1, n).permute(0, 1, 2, 4, 3).flatten(2, 3)
    for group in range(g):
        own = slice(group * C, (group + 1) * C)
        channels = [group * C + c for c in range(C) for _ in range(n)]
        layer = edge_layer(conv, channels, O, weight[group])
        for place in itertools.product(*map(range, shape)):
            cut = tuple(
                slice(p * s, p * s + d * (k - 1) + 1, d)
                for p, s, d, k in zip(
                    *(place, conv.stride, conv.dilation, conv.kernel_size), strict=True
                )
            )
            edges = layer.edges(x[(slice(None), own, *cut)].flatten(1))
            if conv.pad_basis:
                edges = edges * inside[(slice(None), own, *cut)].flatten(1)[:, None]
            y[(slice(None), slice(group * O, (group + 1) * O), *place)] = edges.sum(2)
    bias = 0.0 if conv.bias is None else conv.bias.detach().view(-1, *[1] * dims)
    return y + bias


@pytest.mark.parametrize(
    "dims, options, margins",
    [
        (1, {"kernel_size": 3}, [0, 0]),
        (1, {"kernel_size": 4, "padding": "same", "dilation": 2, "bias": False}, [3, 3]),
        (1, {"kernel_size": 2, "padding": 2, "stride": 3, "groups": 2}, [2, 2]),
        (1, {"kernel_size": 3, "padding": 1, "pad_basis": True}, [1, 1]),
        (2, {"kernel_size": 3, "padding": 1}, [1, 1, 1, 1]),
        (2, {"kernel_size": (2, 3), "padding": "same"}, [1, 1, 0, 1]),
        (2, {"kernel_size": 3, "padding": (0, 2), "stride": (2, 1), "dilation": 2}, [2, 2, 0, 0]),
        (2, {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"}, [1, 1, 1, 1]),
        (2, {"kernel_size": 3, "padding": 1, "padding_mode": "replicate"}, [1, 1, 1, 1]),
        (2, {"kernel_size": 3, "padding": 1, "padding_mode": "circular"}, [1, 1, 1, 1]),
        (2, {"kernel_size": 3, "padding": "same", "pad_basis": True, "groups": 2}, [1, 1, 1, 1]),
        (2, {"kernel_size": 2, "groups": 4, "base": "zero"}, [0, 0, 0, 0]),
        (2, {"kernel_size": 1, "groups": 2, "base": "identity", "padding": "valid"}, [0] * 4),
        (3, {"kernel_size": (1, 2, 3), "padding": (0, 1, 1), "groups": 2}, [1, 1, 1, 1, 0, 0]),
    ],
)
def test_a_convolution_is_the_layer_on_patches(dims, options, margins):
    conv = made(CONVOLUTIONS[dims], 4, 8, **options)
    x = 2 * normal(2, 4, *SIZES[:dims])
    torch.testing.assert_close(conv(x), patch_by_patch(conv, x, margins), rtol=1e-12, atol=1e-12)


@every_family
def test_every_family_convolves(family):
    conv = made(KANConv2d, 4, 2, 2, groups=2, padding=1, stride=2, basis=family)
    x = normal(2, 4, 4, 3)
    torch.testing.assert_close(conv(x), patch_by_patch(conv, x, [1] * 4), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    "dims, options",
    [
        (1, {"kernel_size": 3, "stride": 2, "output_padding": 1}),
        (1, {"kernel_size": 2, "dilation": 3, "padding": 1, "groups": 2, "bias": False}),
        (2, {"kernel_size": (2, 3), "stride": 2, "groups": 2, "base": "zero"}),
        (3, {"kernel_size": 2, "stride": (1, 2, 1), "padding": (0, 1, 0)}),
    ],
)
def test_a_transpose_spreads_every_value_by_its_curves(dims, options):
    layer = made(TRANSPOSED[dims], 4, 6, **options)
    x = normal(2, 4, *SIZES[:dims])
    g, O, n = layer.groups, 6 // layer.groups, math.prod(layer.kernel_size)
    y = torch.zeros_like(layer(x)) + (
        0.0 if layer.bias is None else layer.bias.view(-1, *[1] * dims)
    )
    # of the whole; what padding takes away at both ends is cut off at last
    full = [size + 2 * p for size, p in zip(y.shape[2:], layer.padding, strict=True)]
    whole = x.new_zeros(2, 6, *full)
    weight = layer.weight.detach().view(g, 4 // g, -1, O * n).permute(0, 3, 1, 2)
    for group in range(g):
        channels = list(range(group * 4 // g, (group + 1) * 4 // g))
        curves = edge_layer(layer, channels, O * n, weight[group])
        for place in itertools.product(*map(range, SIZES[:dims])):
            sums = curves(x[(slice(None), channels, *place)]).view(2, O, *layer.kernel_size)
            cut = tuple(
                slice(p * s, p * s + d * (k - 1) + 1, d)
                for p, s, d, k in zip(
                    *(place, layer.stride, layer.dilation, layer.kernel_size), strict=True
                )
            )
            whole[(slice(None), slice(group * O, (group + 1) * O), *cut)] += sums.detach()
    kept = tuple(slice(p, p + size) for p, size in zip(layer.padding, y.shape[2:], strict=True))
    expected = y + whole[(slice(None), slice(None), *kept)]
    torch.testing.assert_close(layer(x), expected, rtol=1e-12, atol=1e-12)


def test_the_transpose_is_the_adjoint_on_the_expanded_maps():
    options = {"kernel_size": 3, "stride": 2, "padding": 1, "groups": 2, "dilation": 2}
    layer = made(KANConvTranspose2d, 4, 6, **options, bias=False)
    x = normal(2, 4, 5, 6)
    y = layer(x)
    v = normal(*y.shape, seed=1)
    back = functional.conv2d(v, layer.weight, None, 2, 1, 2, 2)
    torch.testing.assert_close((y * v).sum(), (layer.expand(x) * back).sum())


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_shapes_are_those_of_torch(dims):
    x = torch.zeros(2, 4, *[9, 8, 7][:dims])
    for kernel, stride, padding, dilation, groups in itertools.product(
        (2, 3), (1, 2), (0, 1, "valid", "same"), (1, 2), (1, 2)
    ):
        given = (4, 2, kernel, stride, padding, dilation, groups)
        if (stride, padding) != (2, "same"):
            assert CONVOLUTIONS[dims](*given)(x).shape == PLAIN[dims](*given)(x).shape, given
        if isinstance(padding, int):
            given = (4, 2, kernel, stride, padding, stride - 1, groups, True, dilation)
            ours, theirs = TRANSPOSED[dims](*given), PLAIN_TRANSPOSED[dims](*given)
            assert ours(x).shape == theirs(x).shape, given


@pytest.mark.parametrize("size", [(9, 9), (3, 9, 9), (2, 3, 9, 9), (10, 10)])
def test_output_size_as_torch_takes_it(size):
    x = torch.randn(2, 4, 5, 5)
    ours = KANConvTranspose2d(4, 3, 3, stride=2, padding=1)
    theirs = nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1)
    if len(size) == 3:  # torch takes an unbatched size with an unbatched x
        assert ours(x[0], size).shape == theirs(x[0], size).shape
    else:
        assert ours(x, size).shape == theirs(x, size).shape


@pytest.mark.parametrize("kind", [KANConv1d, KANConv2d, KANConvTranspose1d, KANConvTranspose2d])
def test_gradients(kind):
    layer = made(kind, 2, 2, 2, padding=1, stride=2)
    x = normal(1, 2, *SIZES[: layer.dims]).requires_grad_()
    names = [name for name, _ in layer.named_parameters()]

    def applied(x, *values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,))

    values = [p.detach().clone().requires_grad_() for p in layer.parameters()]
    assert torch.autograd.gradcheck(applied, (x, *values))
    assert torch.autograd.gradgradcheck(applied, (x, *values))


@pytest.mark.parametrize("kind", [KANConv1d, KANConv3d, KANConvTranspose2d])
def test_an_image_alone_and_no_image(kind):
    layer = made(kind, 3, 2, 3)
    x = normal(2, 3, *SIZES[: layer.dims])
    torch.testing.assert_close(layer(x[0]), layer(x)[0])
    assert layer(x[:0]).shape == (0, *layer(x).shape[1:])


def test_other_floats_are_computed_in_the_layers_own():
    conv = KANConv2d(1, 2, 3, generator=generator())
    x = torch.rand(2, 1, 5, 5, generator=generator())
    assert conv.weight.dtype == torch.float32
    torch.testing.assert_close(conv(x.double()), conv(x))
    assert conv(x.half()).dtype == torch.float32


def test_autocast_lowers_the_convolution_and_not_the_functions():
    conv = KANConv2d(2, 3, 3, generator=generator())
    x = torch.rand(2, 2, 6, 6, generator=generator())
    with torch.autocast("cpu", torch.bfloat16):
        assert conv.expand(x).dtype == torch.float32
        y = conv(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), conv(x), rtol=0.05, atol=0.05)


@pytest.mark.parametrize("kind", [KANConv2d, KANConvTranspose2d])
def test_one_graph_holds_the_layer(kind):
    layer = made(kind, 2, 3, 3, padding=1)
    x = normal(2, 2, 5, 6)
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), layer(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("base", ["silu", "zero"])
@pytest.mark.parametrize("kind", [KANConv2d, KANConvTranspose2d])
@every_family
def test_variance_passes_at_the_start(kind, base, family):
    wide = kind(32, 32, 3, groups=2, base=base, basis=family, generator=generator())
    x = 2 * torch.rand(8, 32, 12, 12, generator=generator(1)) - 1
    y = wide(x).detach()[..., 2:-2, 2:-2]
    assert 0.5 < float(y.square().mean() / x.square().mean()) < 2


def test_a_start_can_be_repeated():
    one, two = (KANConv2d(2, 3, 3, generator=generator(5)) for _ in range(2))
    torch.testing.assert_close(one.weight, two.weight, rtol=0, atol=0)
    two.load_state_dict(made(KANConv2d, 2, 3, 3, dtype=torch.float32).state_dict())
    assert not torch.equal(one.weight, two.weight) and not torch.equal(one.grid, two.grid)
    one.load_state_dict(two.state_dict())
    x = torch.rand(1, 2, 5, 5, generator=generator())
    torch.testing.assert_close(one(x), two(x), rtol=0, atol=0)


@pytest.mark.parametrize("kind", [KANConv2d, KANConvTranspose2d])
def test_ranges_follow_the_inputs_and_curves_stay(kind):
    layer = kind(2, 4, 3, groups=2, dtype=torch.float64, generator=generator())
    points = layer.basis.design_points(layer.basis_tensors)
    # a polynomial of the basis's degree is one on every grid
    powers = points[..., None] ** torch.arange(4)
    cubic = powers @ normal(4, 2 * 9)  # (P, I, edges)
    curves = layer.basis.project(points, cubic.transpose(1, 2), layer.basis_tensors)
    with torch.no_grad():
        base = layer._edges(layer.weight)[..., -1:]
        layer.weight.copy_(layer._from_edges(torch.cat([curves, base], dim=-1)))
    x = 0.5 * (2 * torch.rand(3, 2, 6, 6, dtype=torch.float64, generator=generator()) - 1)
    x[:, 1] += 0.4
    before = layer(x)
    layer.update_grid(x)
    lower, upper = layer.basis.range_of(layer.basis_tensors)
    assert bool((lower <= x.amin((0, 2, 3))).all() and (upper >= x.amax((0, 2, 3))).all())
    assert bool((upper - lower < 1.1).all())
    torch.testing.assert_close(layer(x), before, rtol=1e-10, atol=1e-10)


def test_padded_zeros_are_inputs_that_ranges_follow():
    x = 1 + torch.rand(2, 1, 6, 6, dtype=torch.float64, generator=generator())
    padded = KANConv2d(1, 1, 3, padding=1, dtype=torch.float64)
    beside = KANConv2d(1, 1, 3, padding=1, pad_basis=True, dtype=torch.float64)
    for conv in (padded, beside):
        conv.update_grid(x)
    assert float(padded.grid.min()) <= 0 < 0.9 < float(beside.grid.min())


def small_model():
    given = {"dtype": torch.float64, "generator": generator()}
    return nn.Sequential(
        *(KANConv2d(1, 4, 3, **given), nn.BatchNorm2d(4, dtype=torch.float64), nn.AvgPool2d(2)),
        *(KANConv2d(4, 4, 2, **given), nn.Flatten(), KANLayer(16, 3, **given)),
    )


def test_every_layer_of_a_model_follows_what_reaches_it():
    model, x = small_model(), 3 + normal(8, 1, 8, 8)
    update_grids(model, x)
    for part in model:
        if isinstance(part, KANConv2d | KANLayer):
            lower, upper = part.basis.range_of(part.basis_tensors)
            rows = x.movedim(1, -1).flatten(0, -2)
            assert bool((lower <= rows.amin(0)).all() and (upper >= rows.amax(0)).all())
            assert bool((upper - lower < 1.2 * (rows.amax(0) - rows.amin(0))).all())
        x = part(x)
    assert not any(part._forward_pre_hooks for part in model)
    with pytest.raises(ShapeError):
        update_grids(model, torch.zeros(8, 2, 8, 8))
    assert not any(part._forward_pre_hooks for part in model)


def test_a_small_model_learns_and_forward_leaves_nothing_behind():
    model, x = small_model(), normal(64, 1, 8, 8)
    label = (x[:, 0, :4].mean((1, 2)) > x[:, 0, 4:].mean((1, 2))).long()
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(40):
        loss = functional.cross_entropy(model(x), label)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.1
    before = [set(vars(part)) for part in model.modules()]
    model(x)
    assert [set(vars(part)) for part in model.modules()] == before


@pytest.mark.parametrize(
    "kind, options, said",
    [
        (KANConv2d, {"groups": 2}, "in_channels is 3; expected a multiple of groups = 2"),
        (KANConv2d, {"groups": 3, "out_channels": 4}, "out_channels is 4; expected a multiple"),
        (KANConv2d, {"kernel_size": 0}, "kernel_size is 0; expected an integer >= 1"),
        (KANConv2d, {"kernel_size": (3, 3, 3)}, "kernel_size is .3, 3, 3.; expected a number or 2"),
        (KANConv2d, {"stride": 0}, "stride is 0"),
        (KANConv2d, {"padding": -1}, "padding is -1; expected an integer >= 0"),
        (KANConv2d, {"padding": "some"}, "expected numbers, 'same' or 'valid'"),
        (KANConv2d, {"padding": "same", "stride": 2}, "expected stride 1"),
        (KANConv2d, {"padding_mode": "mirror"}, "padding_mode is 'mirror'; expected one of"),
        (KANConv2d, {"padding_mode": "reflect", "pad_basis": True}, "leave one out"),
        (KANConv2d, {"base": "relu"}, "base is 'relu'; expected one of"),
        (KANConv2d, {"basis": "spline"}, "basis is 'spline'; expected one of"),
        (KANConvTranspose2d, {"padding_mode": "reflect"}, "takes 'zeros' only"),
        (KANConvTranspose2d, {"padding": "same"}, "padding is 'same'; expected a number or 2"),
    ],
)
def test_bad_arguments_are_named(kind, options, said):
    given = {"in_channels": 3, "out_channels": 6, "kernel_size": 3, **options}
    with pytest.raises(InputError, match=said):
        kind(**given)


def test_bad_inputs_are_named():
    conv = KANConv2d(3, 2, 3)
    with pytest.raises(ShapeError, match=r"shape \(5, 2, 8, 8\); expected \(N, 3, H, W\)"):
        conv(torch.zeros(5, 2, 8, 8))
    with pytest.raises(ShapeError, match=r"shape \(8, 8\)"):
        conv(torch.zeros(8, 8))
    with pytest.raises(ShapeError, match="has dtype"):
        conv(torch.zeros(3, 8, 8, dtype=torch.int64))
    with pytest.raises(ShapeError, match="list"):
        conv([1.0])
    up = KANConvTranspose2d(3, 2, 3, stride=2)
    with pytest.raises(InputError, match=r"output_size is \(30, 9\); expected sizes from \(9, 9\)"):
        up(torch.zeros(1, 3, 4, 4), (30, 9))
