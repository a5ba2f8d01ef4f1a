"""TKAN against its formulas, written step by step, and against the call of nn.LSTM."""

import io

import pytest
import torch
from nn_examples import generator, normal
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from edgewise.bases import BSpline
from edgewise.errors import InputError, ShapeError
from edgewise.nn.recurrent import TKAN, TKANCell

CLOSE = {"rtol": 1e-12, "atol": 1e-12}


def tkan(*sizes, seed=0, **options):
    options = {"basis": BSpline(4, 3, (-2.0, 2.0)), "inner": 2, "inner_size": 3, **options}
    layer = TKAN(*sizes, generator=generator(seed), dtype=torch.float64, **options)
    with torch.no_grad():  # zero at the start: as trained ones would be
        for cell in layer.cells:
            cell.weight_memory.normal_(generator=generator(seed))
    return layer


def by_hand(cell, x, h, c, r):
    """One step for one row, gate by gate: x (I,), h and c (H,), r a list of (S,)."""
    sigmoid = torch.sigmoid
    W_f, W_i, W_g = cell.weight_gates.chunk(3)
    U_f, U_i, U_g = cell.weight_hidden.chunk(3)
    if cell.bias_gates is None:
        b_f = b_i = b_g = b_o = 0.0
    else:
        (b_f, b_i, b_g), b_o = cell.bias_gates.chunk(3), cell.bias_output
    f = sigmoid(W_f @ x + U_f @ h + b_f)
    i = sigmoid(W_i @ x + U_i @ h + b_i)
    g = torch.tanh(W_g @ x + U_g @ h + b_g)
    o = []
    for l, V in enumerate(cell.weight_inner.chunk(cell.inner)):
        s = V @ x + cell.weight_memory[l] @ r[l]
        o.append(cell.kans[l].edges(s[None])[0].sum(-1))
    c = f * c + i * g
    h = sigmoid(cell.weight_output @ torch.cat(o) + b_o) * torch.tanh(c)
    r = [cell.take[l] * o[l] + cell.keep[l] * r[l] for l in range(cell.inner)]
    return h, c, r


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("inner", [1, 3])
def test_a_sequence_is_the_formulas_step_by_step(bias, inner):
    layer, x = tkan(2, 4, bias=bias, inner=inner), normal(6, 3, 2)
    y, (h, m) = layer(x)
    for row in range(3):
        state = torch.zeros(4).double(), torch.zeros(4).double(), [torch.zeros(3).double()] * inner
        for t in range(6):
            state = by_hand(layer.cells[0], x[t, row], *state)
            torch.testing.assert_close(y[t, row], state[0], **CLOSE)
        torch.testing.assert_close(h[0, row], state[0], **CLOSE)
        torch.testing.assert_close(m[0, row], torch.cat([state[1], *state[2]]), **CLOSE)


@pytest.mark.parametrize("cut", [1, 4, 6])
def test_a_sequence_in_pieces_is_the_whole(cut):
    layer, x = tkan(2, 4, 2), normal(7, 3, 2)
    whole, last = layer(x)
    first, state = layer(x[:cut])
    second, state = layer(x[cut:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole, **CLOSE)
    torch.testing.assert_close(state, last, **CLOSE)


def test_the_inner_memory_matters():
    """With c alone carried over, the pieces would not be the whole."""
    layer, x = tkan(2, 4), normal(7, 3, 2)
    _, (h, m) = layer(x[:4])
    y, _ = layer(x[4:], (h, m[..., :4]))
    assert (y - layer(x)[0][4:]).abs().max() > 1e-3


@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"num_layers": 3}])
def test_batch_rows_do_not_mix(options):
    layer, x = tkan(2, 4, **options), normal(5, 4, 2)
    y, state = layer(x)
    x[:, 1] += 1.0
    other, changed = layer(x)
    keep = [0, 2, 3]
    assert torch.equal(other[:, keep], y[:, keep]) and not torch.equal(other[:, 1], y[:, 1])
    assert all(torch.equal(a[:, keep], b[:, keep]) for a, b in zip(state, changed, strict=True))
    for row in keep:
        torch.testing.assert_close(layer(x[:, row])[0], other[:, row], **CLOSE)


def test_gradients_are_right():
    layer, x = tkan(2, 2, 2), 0.3 * normal(3, 2, 2)
    state = normal(2, 2, 2), normal(2, 2, 8)
    parameters = [p for p in layer.parameters() if p.shape[-1:] != (4,)]  # not of symbolic edges

    def outputs(x, h, m, *_):
        y, (h, m) = layer(x, (h, m))
        return y, h, m

    inputs = [t.requires_grad_() for t in (x, *state)]
    assert torch.autograd.gradcheck(outputs, (*inputs, *parameters), fast_mode=True)
    y, (_, m) = layer(x)
    (y.sum() + m.sum()).backward()
    assert all(p.grad is not None and (p.grad != 0).any() for p in parameters)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("shape", [(5, 3, 2), (5, 2), (1, 1, 2)])
def test_shapes_and_arguments_are_those_of_lstm(bidirectional, num_layers, batch_first, shape):
    options = dict(num_layers=num_layers, bidirectional=bidirectional, batch_first=batch_first)
    layer, lstm = tkan(2, 4, **options), torch.nn.LSTM(2, 4, dtype=torch.float64, **options)
    x = normal(*shape)
    y, (h, m) = layer(x)
    expected, (h0, c0) = lstm(x)
    assert y.shape == expected.shape and h.shape == h0.shape
    assert m.shape == (*c0.shape[:-1], 4 + 2 * 3)
    # nn.LSTM's own state is taken: c without r
    again, _ = layer(x, (torch.zeros_like(h0), torch.zeros_like(c0)))
    assert torch.equal(again, y)


def test_a_batch_may_be_empty():
    y, (h, m) = tkan(2, 4)(normal(5, 0, 2))
    assert y.shape == (5, 0, 4) and h.shape == (1, 0, 4) and m.shape == (1, 0, 10)


def test_the_second_direction_reads_from_the_end():
    layer, x = tkan(2, 4, bidirectional=True), normal(5, 3, 2)
    forward, backward = tkan(2, 4), tkan(2, 4)
    forward.cells[0].load_state_dict(layer.cells[0].state_dict())
    backward.cells[0].load_state_dict(layer.cells[1].state_dict())
    y, (h, _) = layer(x)
    torch.testing.assert_close(y[..., :4], forward(x)[0], **CLOSE)
    torch.testing.assert_close(y[..., 4:], backward(x.flip(0))[0].flip(0), **CLOSE)
    torch.testing.assert_close(h[1], y[0, :, 4:], **CLOSE)


@pytest.mark.parametrize("lengths", [[5, 3, 1], [2, 5, 5], [1, 4, 5]])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}])
def test_packed_rows_are_what_each_gives_alone(lengths, options):
    layer, x = tkan(2, 4, **options), normal(5, 3, 2)
    N = layer.num_layers * layer.directions
    given = normal(N, 3, 4), normal(N, 3, 10)
    packed = pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
    output, (h, m) = layer(packed, given)
    y, got = pad_packed_sequence(output)
    assert got.tolist() == lengths
    for row, length in enumerate(lengths):
        alone, state = layer(x[:length, row], (given[0][:, row], given[1][:, row]))
        torch.testing.assert_close(y[:length, row], alone, **CLOSE)
        torch.testing.assert_close((h[:, row], m[:, row]), state, **CLOSE)


def test_a_cell_is_one_step_of_the_layer():
    layer, x = tkan(2, 4), normal(3, 2)
    h, m = layer.cells[0](x)
    y, after = layer(x[None])
    torch.testing.assert_close((h, m), (y[0], after[1][0]), **CLOSE)
    torch.testing.assert_close(layer.cells[0](x[1]), (h[1], m[1]), **CLOSE)


def test_dropout_is_between_layers_and_in_training_only():
    layer, x = tkan(2, 4, 2, dropout=1.0), normal(5, 3, 2)
    y, _ = layer(x)
    other, _ = layer(x + 1.0)
    assert torch.equal(y, other)  # nothing of x passes
    layer.eval()
    assert not torch.equal(layer(x)[0], layer(x + 1.0)[0])


def test_start_and_state_dict():
    layer, same, other = tkan(2, 4), tkan(2, 4), tkan(2, 4, seed=1)
    x = normal(3, 2, 2)
    assert torch.equal(layer(x)[0], same(x)[0]) and not torch.equal(layer(x)[0], other(x)[0])
    bias = layer.cells[0].bias_gates
    assert (bias[:4] == 1).all() and (bias[4:] == 0).all()
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other(x)[0], layer(x)[0])
    assert (layer.cells[0].weight_memory != 0).all()
    layer.cells[0].reset_parameters(generator(1))
    assert (layer.cells[0].weight_memory == 0).all()
    same.cells[0].reset_parameters(generator(1))
    assert torch.equal(layer(x)[0], same(x)[0]) and not torch.equal(layer(x)[0], other(x)[0])


def test_default_dtype_is_torch_s_and_inputs_are_converted():
    layer = TKAN(2, 4)
    y, (h, m) = layer(normal(3, 2, 2))
    assert {t.dtype for t in (y, h, m)} == {torch.float32}
    assert layer.cells[0].inner_size == 2


def test_what_does_not_fit_is_said():
    layer = tkan(2, 4)
    with pytest.raises(ShapeError, match=r"at least one step"):
        layer(normal(0, 3, 2))
    with pytest.raises(ShapeError, match=r"expected \(\.\.\., 2\)"):
        layer(normal(5, 3, 3))
    with pytest.raises(ShapeError, match=r"\(1, 3, 4\) and \(1, 3, 10\)"):
        layer(normal(5, 3, 2), (normal(1, 2, 4), normal(1, 2, 10)))
    with pytest.raises(InputError, match="hidden_size"):
        TKANCell(2, 0)
    with pytest.raises(InputError, match="dropout"):
        TKAN(2, 4, dropout=2.0)
