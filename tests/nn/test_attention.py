"""KANEncoderLayer: torch's own layer with another MLP, masks obeyed, tokens without an order."""

import itertools
import math
import warnings

import pytest
import torch
from nn_examples import generator, normal

from edgewise.bases import BSpline
from edgewise.errors import InputError, ShapeError
from edgewise.nn.attention import KANEncoderLayer

CLOSE = {"rtol": 1e-11, "atol": 1e-12}
E, HEADS, F = 6, 2, 5


def encoder(seed=0, dropout=0.0, **options):
    options = {"basis": BSpline(4, 3, (-3.0, 3.0)), "batch_first": True, **options}
    return KANEncoderLayer(
        E, HEADS, F, dropout, generator=generator(seed), dtype=torch.float64, **options
    )


def test_the_rational_mlp_is_linear_maps_behind_rational_functions():
    layer, x = encoder(ffn="grkan", groups=1), normal(7, E)
    first, second = layer.ffn[0], layer.ffn[2]
    expected = second[1](second[0](first[1](first[0](x))))
    torch.testing.assert_close(layer.ffn(x), expected, **CLOSE)
    # at the start the first function is x and the second nearly GELU
    hidden = torch.nn.functional.gelu(x @ first[1].weight.T)
    near = hidden @ second[1].weight.T
    assert (layer.ffn(x) - near).abs().max() < 0.1 * near.abs().max()


def torch_s(layer, **options):
    """nn.TransformerEncoderLayer with the attention and norms of ``layer`` and its MLP."""
    own = torch.nn.TransformerEncoderLayer(
        E, HEADS, F, 0.0, batch_first=True, norm_first=layer.norm_first, dtype=torch.float64
    )
    parts = [layer.self_attn.query, layer.self_attn.key, layer.self_attn.value]
    own.self_attn.in_proj_weight.data = torch.cat([p.weight.data for p in parts])
    own.self_attn.in_proj_bias.data = torch.cat([p.bias.data for p in parts])
    own.self_attn.out_proj.load_state_dict(layer.self_attn.out.state_dict())
    own.norm1, own.norm2 = layer.norm1, layer.norm2
    own.linear1, own.linear2 = layer.ffn[0], layer.ffn[2]
    own.activation = torch.nn.Identity()
    return own


variants = pytest.mark.parametrize(
    "options",
    [
        {"norm_first": first, "projections": kind}
        for first, kind in itertools.product([False, True], ["linear", "kan"])
    ]
    + [{"ffn": "grkan", "groups": 1}],
    ids=str,
)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("mask", ["none", "causal", "float", "heads", "padding", "both"])
def test_it_is_torch_s_layer_with_another_mlp(norm_first, mask):
    layer, x = encoder(norm_first=norm_first), normal(3, 4, E)
    causal = torch.ones(4, 4, dtype=torch.bool).triu(1)
    padding = torch.tensor([[0, 0, 0, 1], [0, 0, 1, 1], [0, 0, 0, 0]], dtype=torch.bool)
    masks = {
        "none": {},
        "causal": {"src_mask": causal, "is_causal": True},
        "float": {"src_mask": normal(4, 4, seed=1)},
        "heads": {"src_mask": normal(3 * HEADS, 4, 4, seed=2) > 1.0},
        "padding": {"src_key_padding_mask": padding},
        "both": {"src_mask": causal, "src_key_padding_mask": padding},
    }[mask]
    expected = torch_s(layer)(x, **masks)
    torch.testing.assert_close(layer(x, **masks), expected, **CLOSE)


@variants
def test_a_hidden_token_changes_nothing(options):
    layer, x = encoder(**options), normal(2, 5, E)
    padding = torch.zeros(2, 5, dtype=torch.bool)
    padding[0, 3:] = True
    y = layer(x, src_key_padding_mask=padding)
    moved = x.clone()
    moved[0, 3:] = 100.0
    other = layer(moved, src_key_padding_mask=padding)
    torch.testing.assert_close(other[~padding], y[~padding], **CLOSE)
    assert (layer(moved) - layer(x))[~padding].abs().max() > 1e-3
    # and what is left is what a shorter sequence gives
    torch.testing.assert_close(y[0, :3], layer(x[:1, :3])[0], **CLOSE)


@variants
def test_the_future_changes_nothing_under_a_causal_mask(options):
    layer, x = encoder(**options), normal(2, 5, E)
    y = layer(x, is_causal=True)
    moved = x.clone()
    moved[:, 3:] += 1.0
    other = layer(moved, is_causal=True)
    torch.testing.assert_close(other[:, :3], y[:, :3], **CLOSE)
    assert (other[:, 3:] - y[:, 3:]).abs().max() > 1e-3
    torch.testing.assert_close(y[:, :1], layer(x[:, :1]), **CLOSE)


@variants
def test_tokens_have_no_order_and_rows_do_not_mix(options):
    layer, x = encoder(**options), normal(3, 5, E)
    order = torch.randperm(5, generator=generator(3))
    torch.testing.assert_close(layer(x[:, order]), layer(x)[:, order], **CLOSE)
    torch.testing.assert_close(layer(x)[1], layer(x[1]), **CLOSE)


def test_a_token_that_sees_none_gets_no_nan():
    layer = encoder()
    x = normal(2, 4, E).requires_grad_()
    padding = torch.tensor([[True] * 4, [False] * 4])
    y = layer(x, src_key_padding_mask=padding)
    y.sum().backward()
    assert y.isfinite().all() and x.grad.isfinite().all()
    zero = layer.norm1(x[0] + layer.self_attn.out.bias)
    torch.testing.assert_close(y[0], layer.norm2(zero + layer.ffn(zero)), **CLOSE)


@variants
def test_gradients_are_right(options):
    layer, x = encoder(**options), normal(1, 3, E).requires_grad_()
    parameters = [p for p in layer.parameters() if p.shape[-1:] != (4,)]  # not of symbolic edges
    causal = torch.full((3, 3), -math.inf, dtype=torch.float64).triu(1)
    call = lambda x, *_: layer(x, causal)  # noqa: E731
    assert torch.autograd.gradcheck(call, (x, *parameters), fast_mode=True)


@pytest.mark.parametrize("batch_first", [False, True])
def test_shapes_and_order_of_dimensions(batch_first):
    layer = encoder(batch_first=batch_first)
    x = normal(5, 3, E)
    padding = torch.zeros(x.shape[:2] if batch_first else (3, 5), dtype=torch.bool)
    padding[0, -1] = True
    y = layer(x, src_key_padding_mask=padding)
    assert y.shape == x.shape
    first = (x[0], y[0]) if batch_first else (x[:, 0], y[:, 0])
    alone = layer(first[0], src_key_padding_mask=padding[0])
    torch.testing.assert_close(alone, first[1], **CLOSE)
    assert layer(normal(0, 3, E) if batch_first else normal(3, 0, E)).numel() == 0


@pytest.mark.parametrize("batch_first", [False, True])
def test_layers_stack_in_torch_s_encoder(batch_first):
    layer = encoder(batch_first=batch_first)
    stack = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    x = normal(4, 4, E)
    causal = torch.ones(4, 4, dtype=torch.bool).triu(1)
    padding = torch.zeros(4, 4, dtype=torch.bool)
    padding[1, -1] = True
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = stack(x, causal, padding)
    expected = layer(layer(x, causal, padding), causal, padding)
    torch.testing.assert_close(y, expected, **CLOSE)
    assert len(list(stack.parameters())) == 2 * len(list(layer.parameters()))


def test_dropout_is_in_training_only_and_state_returns():
    layer, other = encoder(dropout=0.5), encoder(seed=1)
    x = normal(2, 4, E)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        assert not torch.equal(layer(x), layer(x))
    layer.eval()
    other.load_state_dict(layer.state_dict())
    torch.testing.assert_close(other(x), layer(x), **CLOSE)
    assert torch.equal(encoder()(x), encoder()(x))


def test_what_does_not_fit_is_said():
    layer, x = encoder(), normal(2, 4, E)
    with pytest.raises(InputError, match="multiple of nhead"):
        KANEncoderLayer(6, 4)
    with pytest.raises(InputError, match="ffn is 'mlp'"):
        KANEncoderLayer(6, 2, ffn="mlp")
    with pytest.raises(InputError, match="projections is 'conv'"):
        KANEncoderLayer(6, 2, projections="conv")
    with pytest.raises(ShapeError, match="src_mask has shape"):
        layer(x, torch.zeros(3, 3))
    with pytest.raises(ShapeError, match="src_key_padding_mask has shape"):
        layer(x, src_key_padding_mask=torch.zeros(4, 2))
    with pytest.raises(ShapeError, match=r"\(T, B, E\)"):
        layer(normal(2, 2, 4, E))
