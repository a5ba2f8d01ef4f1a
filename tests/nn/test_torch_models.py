"""KAN layers inside ordinary torch models: containers, copies, loops, compilation, autocast."""

import copy

import pytest
import torch
from nn_examples import generator
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from edgewise.nn import KANLayer
from edgewise.nn.attention import KANEncoderLayer
from edgewise.nn.recurrent import TKAN


@pytest.fixture(autouse=True)
def _seeded():
    """nn.Linear draws from torch's global state."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def mixed_model():
    """Linear, KAN, norm and KAN in a row."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(6, 5),
        KANLayer(5, 4),
        nn.LayerNorm(4),
        nn.Dropout(0.0),
        KANLayer(4, 1),
    )


def samples(rows=64):
    x = torch.randn(rows, 2, 3, generator=generator(1))
    return x, (x[:, 0].sum(1, keepdim=True).sin() + x[:, 1, :1])


class Lit(nn.Module):
    """What a Lightning module asks its author to write."""

    def __init__(self):
        super().__init__()
        self.model = mixed_model()

    def training_step(self, batch, index):
        x, y = batch
        return mse_loss(self.model(x), y)

    def configure_optimizers(self):
        adam = torch.optim.AdamW(self.parameters(), lr=0.02)
        return [adam], [torch.optim.lr_scheduler.StepLR(adam, 20, 0.5)]


def test_a_trainer_s_loop_lowers_the_loss():
    lit, (x, y) = Lit(), samples()
    (adam,), (schedule,) = lit.configure_optimizers()
    batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), 32)
    losses = []
    for _ in range(20):
        for index, batch in enumerate(batches):
            adam.zero_grad()
            loss = lit.training_step(batch, index)
            loss.backward()
            nn.utils.clip_grad_norm_(lit.parameters(), 1.0)
            adam.step()
            losses.append(loss.item())
        schedule.step()
    assert sum(losses[-2:]) < 0.3 * sum(losses[:2])


def test_a_copy_is_independent_and_a_state_dict_is_strict():
    model, (x, y) = mixed_model(), samples()
    other, third = copy.deepcopy(model), mixed_model()
    before = other(x)
    adam = torch.optim.SGD(model.parameters(), lr=0.1)
    mse_loss(model(x), y).backward()
    adam.step()
    assert torch.equal(other(x), before) and not torch.equal(model(x), before)
    third.load_state_dict(model.state_dict())
    assert torch.equal(third(x), model(x))
    with pytest.raises(RuntimeError, match="Missing key"):
        third.load_state_dict({})


def example(kind):
    """A model and an input to it."""
    if kind == "sequential":
        return mixed_model(), samples()[0]
    x = torch.randn(2, 5, 4, generator=generator())
    if kind == "encoder":
        return KANEncoderLayer(4, 2, 3, 0.0, batch_first=True), x
    return TKAN(4, 3, batch_first=True), x


@pytest.mark.parametrize("kind", ["sequential", "encoder", "tkan"])
def test_forward_leaves_nothing_behind(kind):
    model, x = example(kind)
    held = {name: set(vars(module)) for name, module in model.named_modules()}
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model(x)
    assert held == {name: set(vars(module)) for name, module in model.named_modules()}
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def test_the_model_is_a_function_of_its_parameters():
    model, (x, _) = nn.Sequential(nn.Flatten(), KANLayer(6, 2)), samples(5)
    values = dict(model.named_parameters()) | dict(model.named_buffers())
    assert torch.equal(torch.func.functional_call(model, values, x), model(x))


@pytest.mark.parametrize("kind", ["sequential", "encoder"])
def test_bfloat16_autocast_on_the_processor(kind):
    """Linear maps are lowered; the curves keep their digits, and gradients their dtype."""
    model, x = example(kind)
    exact = model(x)
    with torch.autocast("cpu", torch.bfloat16):
        lowered = model(x)
    lowered.float().square().mean().backward()
    assert (lowered.float() - exact).abs().max() < 0.05 * exact.abs().max() + 0.02
    assert all(p.grad is None or p.grad.dtype == torch.float32 for p in model.parameters())


def compiled_as_alone(model, x, backend):
    """Values and slopes of the compiled model are those of the model."""
    torch.compiler.reset()
    results = []
    for call in (torch.compile(model, backend=backend, fullgraph=True), model):
        model.zero_grad()
        y = call(x)
        y.square().mean().backward()
        results.append([y.detach(), *(p.grad for p in model.parameters() if p.grad is not None)])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
def test_a_model_is_one_graph_to_torch_compile():
    compiled_as_alone(*example("sequential"), "eager")


def test_cross_entropy_over_tokens():
    """An encoder with a linear head, trained as any torch model."""
    layer = KANEncoderLayer(8, 2, 6, 0.0, batch_first=True)
    model = nn.Sequential(nn.Embedding(4, 8), layer, nn.Linear(8, 4))
    tokens = torch.randint(0, 4, (32, 6), generator=generator())
    target = (tokens + 1) % 4
    adam = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(30):
        adam.zero_grad()
        loss = cross_entropy(model(tokens).flatten(0, 1), target.flatten())
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
