"""Layers under what torch offers: transforms, forward mode, compilers, precisions, processes, threads.

Whatever torch does with a layer, its values and derivatives are those that it gives alone.
"""

from __future__ import annotations

import copy
import io
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from spline_cases import ISAS, OPS, case, error, mix, no_plain, process, run
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, stack_module_state, vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode

from edgewise.bases import BSpline
from edgewise.errors import ShapeError
from edgewise.kernels import native
from edgewise.kernels.bspline.contract import Spline
from edgewise.nn import KANLayer

ROUNDING = 1e-12
native_only = pytest.mark.skipif(not ISAS, reason="this installation has no native library")
# torch.func's own, and a hint on speed that is given under vmap
pytestmark = [
    pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:torch.searchsorted"),
]


def network(dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.nn.Sequential:
    """3 -> 4 -> 2, with even and uneven knots, an edge that is off, and an input that none reads."""
    draw = torch.Generator().manual_seed(seed)
    first = KANLayer(3, 4, BSpline(5, 4), dtype=torch.float64, generator=draw)
    last = KANLayer(4, 2, BSpline(4, 3, grid_eps=0.5), dtype=torch.float64, generator=draw)
    steps = torch.tensor([0.0, 0.7, 1.2, 1.3, 2.0], dtype=torch.float64)
    last.grid = (steps - 1).repeat(4, 1)
    first.mask[1, 2] = 0.0
    last.mask[:, 3] = 0.0
    return torch.nn.Sequential(first, last).to(dtype)


def rows(count: int = 6, dtype: torch.dtype = torch.float64, seed: int = 1) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return 1.3 * torch.randn(count, 3, generator=draw, dtype=torch.float64).to(dtype)


def slopes(model: torch.nn.Module, x: Tensor) -> Tensor:
    """d y_o / d x_i of every row by plain autograd, (B, O, I)."""
    x = x.detach().requires_grad_()
    y = model(x)
    return torch.stack(
        [torch.autograd.grad(y[:, o].sum(), x, retain_graph=True)[0] for o in range(y.shape[1])], 1
    )


# --- torch.func ------------------------------------------------------------------------------


def test_jacobians_of_both_modes():
    model, x = network(), rows()
    expected = slopes(model, x)
    for jacobian in (jacrev, jacfwd):
        assert error(vmap(jacobian(model))(x).detach(), expected) <= ROUNDING
    directions = rows(seed=5)
    y, tangent = jvp(model, (x,), (directions,))
    assert error(y.detach(), model(x).detach()) <= ROUNDING
    assert error(tangent.detach(), (expected * directions[:, None]).sum(-1)) <= ROUNDING
    y, pull = torch.func.vjp(model, x)
    (found,) = pull(torch.ones_like(y))
    assert error(found.detach(), expected.sum(1)) <= ROUNDING


def test_hessians():
    model, x = network(), rows(1)[0]
    given = x.clone().requires_grad_()
    expected = []
    for y in model(given):
        (slope,) = torch.autograd.grad(y, given, create_graph=True)
        lines = [torch.autograd.grad(one, given, retain_graph=True)[0] for one in slope]
        expected.append(torch.stack(lines))
    for found in (hessian(model)(x), jacrev(jacrev(model))(x), jacfwd(jacfwd(model))(x)):
        assert error(found.detach(), torch.stack(expected)) <= ROUNDING


def test_rows_and_members_of_an_ensemble_by_vmap():
    x = rows()
    models = [network(seed=seed) for seed in range(3)]
    assert error(vmap(models[0])(x).detach(), models[0](x).detach()) <= ROUNDING
    parameters, buffers = stack_module_state(models)
    found = vmap(lambda p, b: functional_call(models[0], (p, b), (x,)))(parameters, buffers)
    expected = torch.stack([model(x) for model in models])
    assert error(found.detach(), expected.detach()) <= ROUNDING


def test_gradients_of_each_sample():
    model, x = network(), rows()
    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def loss(parameters: dict[str, Tensor], row: Tensor) -> Tensor:
        return functional_call(model, parameters, (row[None],)).square().sum()

    found = vmap(grad(loss), (None, 0))(parameters, x)
    for n, row in enumerate(x):
        model.zero_grad()
        model(row[None]).square().sum().backward()
        for name, parameter in model.named_parameters():
            # what no edge uses has no gradient
            expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            assert error(found[name][n], expected) <= ROUNDING, name


def test_a_transform_inside_a_loss_that_autograd_trains():
    """A PDE residual by torch.func, its gradient by backward."""
    model, x = network(), rows()
    found = vmap(jacrev(model))(x).square().sum()
    given = x.clone().requires_grad_()
    y = model(given)
    parts = [torch.autograd.grad(y[:, o].sum(), given, create_graph=True)[0] for o in (0, 1)]
    expected = torch.stack(parts).square().sum()
    wanted = [p for name, p in model.named_parameters() if "symbolic" not in name]
    for one, other in zip(
        torch.autograd.grad(found, wanted, retain_graph=True),
        torch.autograd.grad(expected, wanted),
        strict=True,
    ):
        assert error(one, other) <= ROUNDING


# --- forward mode ----------------------------------------------------------------------------


def test_forward_mode_gives_the_tangent():
    model, x, direction = network(), rows(), rows(seed=5)
    expected = (slopes(model, x) * direction[:, None]).sum(-1)
    with forward_ad.dual_level():
        y = forward_ad.unpack_dual(model(forward_ad.make_dual(x, direction)))
        assert expected.any() and error(y.tangent.detach(), expected) <= ROUNDING

    # and in a parameter, where the sums are linear
    layer = model[0]
    change = torch.randn_like(layer.coef)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(layer.coef.detach(), change)
        y = forward_ad.unpack_dual(functional_call(layer, {"coef": dual}, (x,)))
        moved = functional_call(layer, {"coef": layer.coef + change}, (x,)) - layer(x)
        assert moved.any() and error(y.tangent.detach(), moved.detach()) <= ROUNDING


def test_forward_mode_over_a_gradient():
    model, x, direction = network(), rows(1)[0], rows(1, seed=5)[0]
    for layer in model:
        layer.base = "identity"  # torch's silu has no forward mode of its gradient
    expected = hessian(lambda x: model(x).sum())(x) @ direction
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x.clone().requires_grad_(), direction)
        (slope,) = torch.autograd.grad(model(dual).sum(), dual)
        found = forward_ad.unpack_dual(slope).tangent
    assert error(found.detach(), expected.detach()) <= ROUNDING


# --- compilers -------------------------------------------------------------------------------


def compiled_as_alone(model: torch.nn.Module, backend: str, batches: list[Tensor]) -> None:
    torch.compiler.reset()
    fast = torch.compile(model, backend=backend, fullgraph=True)
    parameters = [p for name, p in model.named_parameters() if "symbolic" not in name]
    for x in batches:
        wanted = [x.requires_grad_(), *parameters]
        found, expected = fast(x), model(x)
        assert error(found.detach(), expected.detach()) <= ROUNDING
        slopes = [torch.autograd.grad(y.square().sum(), wanted) for y in (found, expected)]
        for one, other in zip(*slopes, strict=True):
            assert error(one, other) <= ROUNDING


def test_compile_takes_the_whole_network_as_one_graph():
    compiled_as_alone(network(), "eager", [rows(), rows(11, seed=7)])
    with torch.no_grad():
        fast = torch.compile(network(), backend="eager", fullgraph=True)
        assert error(fast(rows()), network()(rows())) <= ROUNDING


@pytest.mark.slow
def test_compile_to_code():
    compiled_as_alone(network()[0], "inductor", [rows()])


def test_export_gives_the_same_function_for_any_number_of_rows():
    model, x = network(), rows()
    dynamic = ({0: torch.export.Dim("rows")},)
    program = torch.export.export(model, (x,), dynamic_shapes=dynamic)
    for given in (x, rows(11, seed=7)):
        assert error(program.module()(given).detach(), model(given).detach()) <= ROUNDING


@pytest.mark.parametrize("mode", ["real", "fake", "symbolic"])
def test_make_fx_sees_operations_of_torch(mode):
    model, x = network(), rows()
    state = {**dict(model.named_parameters()), **dict(model.named_buffers())}

    def value(state: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(model, state, (x,))

    for function in (value, vmap(jacrev(value, 1), (None, 0))):
        traced = make_fx(function, tracing_mode=mode)(state, x)
        assert error(traced(state, 2 * x).detach(), function(state, 2 * x).detach()) <= ROUNDING


@pytest.mark.filterwarnings("ignore:.torch.jit.trace:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_jit_trace_gives_the_same_function():
    model, x = network(), rows()
    traced = torch.jit.trace(model, (x,))
    given = rows(11, seed=7)
    assert error(traced(given).detach(), model(given).detach()) <= ROUNDING


# --- precisions ------------------------------------------------------------------------------


@pytest.mark.parametrize("graph", [False, True])
def test_autocast_lowers_nothing_of_a_layer(graph):
    """The products of a layer are exact as without it, to the bit, and so is their gradient."""
    model, x = network(torch.float32), rows(dtype=torch.float32).requires_grad_()
    wanted = [x, *(p for name, p in model.named_parameters() if "symbolic" not in name)]
    expected = model(x)
    target = torch.autograd.grad(expected.sum(), wanted, create_graph=graph)
    for dtype in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", dtype=dtype):
            y = model(x)
            found = torch.autograd.grad(y.sum(), wanted, create_graph=graph)
            plain = vmap(model)(x)
        assert y.dtype == plain.dtype == torch.float32 and torch.equal(y, expected)
        assert error(plain.detach(), expected.detach()) <= 1e-5
        for one, other in zip(found, target, strict=True):
            assert one.dtype == torch.float32 and torch.equal(one, other)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("path", ["reference", *ISAS])
def test_autocast_lowers_nothing_of_an_op(path, op):
    k = case(Spline(3, True, "linear"), 1).to(torch.float32)
    with native.using(path):
        expected = run(op, k)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = run(op, k)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_near_single(dtype):
    """Parameters and results are rounded to the format, what lies between them is not."""
    model, x = network().to(dtype), rows(50).to(dtype)
    y = model[0](x)
    expected = copy.deepcopy(model[0]).float()(x.float())
    assert y.dtype == dtype
    assert error(y.float().detach(), expected.detach()) <= 4 * torch.finfo(dtype).eps
    y.sum().backward()
    assert model[0].coef.grad.dtype == dtype and model[0].coef.grad.isfinite().all()


def test_inputs_of_another_precision_are_computed_in_the_layers():
    model = network()
    x = rows(dtype=torch.float32)
    assert model(x).dtype == torch.float64
    assert torch.equal(model(x), model(x.double()))


def test_what_does_not_fit_is_said():
    model, x = network(), rows()
    for bad in (x[:, :2], x.long(), x.to(torch.complex128), x[0, 0]):
        with pytest.raises(ShapeError, match="expected"):
            model(bad)
    for name, change, words in (
        ("0.coef", lambda t: t[..., 1:], r"c has shape \(4, 3, 8\); .*= \(4, 3, 9\)"),
        ("0.scale_base", lambda t: t[:2], r"scale_base has shape \(2, 3\)"),
        ("0.grid", lambda t: t.float(), r"grid has dtype torch.float32; expected torch.float64"),
        ("1.mask", lambda t: t.T, r"mask has shape \(4, 2\)"),
    ):
        state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        with pytest.raises(ShapeError, match=words):
            functional_call(model, {name: change(state[name])}, (x,))


# --- copies and files ------------------------------------------------------------------------


def test_copies_and_files_hold_the_same_function():
    model, x = network(), rows()
    expected = model(x)
    model.train()
    file, whole = io.BytesIO(), io.BytesIO()
    torch.save(model.state_dict(), file)
    torch.save(model, whole)
    file.seek(0), whole.seek(0)
    loaded = network(seed=9)
    loaded.load_state_dict(torch.load(file, weights_only=True))
    others = (
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),  # noqa: S301 made here
        torch.load(whole, weights_only=False),
        loaded,
    )
    for other in others:
        assert torch.equal(other(x), expected)
        other(x).sum().backward()
    assert model[0].coef.grad is None


# --- what is no array ------------------------------------------------------------------------


def test_meta_and_fake_tensors_give_shapes():
    layer = KANLayer(3, 4, device="meta")
    y = layer(torch.empty(5, 3, device="meta"))
    assert y.shape == (5, 4) and y.is_meta
    with torch._subclasses.fake_tensor.FakeTensorMode() as mode:
        y = KANLayer(3, 4)(torch.empty(2, 5, 3))
    assert y.shape == (2, 5, 4)
    model, x = network(), rows()
    with torch._subclasses.fake_tensor.FakeTensorMode(allow_non_fake_inputs=True) as mode:
        given = mode.from_tensor(x)
        assert model(given).shape == (6, 2)
    assert model(x).isfinite().all()


class Counted(torch.Tensor):
    """A subclass that wants to see every operation."""

    seen = 0

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        cls.seen += 1
        return super().__torch_function__(function, types, args, kwargs or {})


@native_only
def test_the_kernels_take_arrays_and_nothing_else():
    x = rows()
    assert native.takes(x, torch.nn.Parameter(x), None)
    assert native.takes(x[:, ::2], x.mT, x[:0], x.expand(2, 6, 3), x.requires_grad_())
    x = x.detach()
    imaginary = torch.complex(x, x).conj().imag
    assert imaginary.is_neg()
    others = {
        "another dtype beside": (x, x.float()),
        "half": (x.half(),),
        "integers": (x.long(),),
        "meta": (x.to("meta"),),
        "subclass": (x.as_subclass(Counted),),
        "sparse": (x.to_sparse(),),
        "negated lazily": (imaginary,),
        "zero without memory": (torch._efficientzerotensor((6, 3), dtype=torch.float64),),
    }
    for name, tensors in others.items():
        assert not native.takes(*tensors), name
    with torch.inference_mode():
        assert native.takes(x, x + 1)
    for outside in (native.using("reference"), forward_ad.dual_level()):
        with outside:
            assert not native.takes(x)
    seen = []
    vmap(lambda row: seen.append(native.takes(row)) or row)(x)
    assert seen == [False]


def test_what_the_kernels_leave_alone_is_computed_all_the_same():
    layer, x = network()[0], rows()
    expected = layer(x).detach()
    seen = Counted.seen
    y = layer(x.as_subclass(Counted))
    assert error(y.detach().as_subclass(Tensor), expected) <= ROUNDING and Counted.seen > seen
    given = torch.complex(torch.zeros_like(x), -x).conj().imag
    assert given.is_neg() and error(layer(given).detach(), expected) <= ROUNDING
    zero = torch._efficientzerotensor((6, 3), dtype=torch.float64)
    assert error(layer(zero).detach(), layer(torch.zeros_like(x)).detach()) <= ROUNDING


@native_only
def test_shared_parameters_of_a_mesh_are_refused(tmp_path):
    code = """
import sys
import torch
from torch.distributed.tensor import DeviceMesh, distribute_tensor
from edgewise.kernels import native
torch.distributed.init_process_group("gloo", init_method=f"file://{sys.argv[1]}", rank=0, world_size=1)
tensor = distribute_tensor(torch.ones(4, 2), DeviceMesh("cpu", [0]))
assert native.takes(tensor.to_local()) and not native.takes(tensor)
torch.distributed.destroy_process_group()
"""
    run_alone(code, str(tmp_path / "meeting"))


@pytest.mark.parametrize(
    "part, name", native._PRIVATE, ids=lambda value: getattr(value, "__name__", value)
)
def test_private_names_of_torch_are_still_there(part, name):
    """Where this fails, native.py needs what torch has put in the name's place."""
    assert hasattr(part, name)
    assert not native._missing


def test_private_names_of_torch_still_mean_the_same():
    assert not native._transforms_active() and not native._dispatch_modes()
    assert forward_ad._current_level < 0
    seen = []
    vmap(lambda row: seen.append(native._transforms_active()) or row)(rows())
    with TorchDispatchMode():
        seen.append(native._dispatch_modes() > 0)
    with forward_ad.dual_level():
        seen.append(forward_ad._current_level >= 0)
    assert all(seen) and len(seen) == 3


def test_a_torch_without_a_private_name_still_computes():
    code = """
import sys
import warnings
import torch
name = sys.argv[1]
owner = torch.Tensor if name == "_is_zerotensor" else torch._C
if name == "_current_level":
    from torch.autograd import forward_ad as owner
before = getattr(owner, name)
delattr(owner, name)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from edgewise.kernels import native
    info = native.kernel_info()
assert info.path == "reference" and (name in info.reason or not info.library), info
assert not native.eager()
setattr(owner, name, before)  # torch itself needs it
from edgewise.nn import KANLayer
assert KANLayer(2, 3)(torch.ones(4, 2)).isfinite().all()
"""
    for name in ("_has_storage", "_are_functorch_transforms_active"):
        run_alone(code, name, EDGEWISE_KERNEL="auto")


def test_another_default_device_changes_nothing_for_tensors_of_this_one():
    model, x = network(), rows().requires_grad_()
    expected = model(x)
    with torch.device("meta"):
        y = model(x)
        (slope,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(y, expected) and slope.isfinite().all()


# --- processes and threads -------------------------------------------------------------------


def run_alone(code: str, *arguments: str, **environment: str) -> str:
    """What the code prints in a process of its own, which must end well and in time."""
    done = process("-c", code, *arguments, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


TRAIN = """
import sys
import torch
import torch.distributed as dist
from test_torch_features import network, rows

rank, world, meeting, result = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
torch.set_num_threads(1)
model, x = network(), rows(64)
for layer in model:
    layer.symbolic_affine.requires_grad_(False)
target = torch.sin(x[:, :2])
if world > 1:
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=world)
    trained = torch.nn.parallel.DistributedDataParallel(model)
    x, target = x[rank::world], target[rank::world]
else:
    trained = model
optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
for _ in range(20):
    optimiser.zero_grad()
    (trained(x) - target).square().mean().backward()
    optimiser.step()
if rank == 0:
    torch.save(model.state_dict(), result)
if world > 1:
    dist.barrier()  # nobody leaves while another still waits for him
    dist.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch is not distributed")
def test_two_processes_train_as_one_does(tmp_path):
    def train(world: int) -> dict[str, Tensor]:
        result = str(tmp_path / f"{world}.pt")
        meeting = str(tmp_path / "meeting")
        with ThreadPoolExecutor(world) as pool:
            ranks = [
                pool.submit(run_alone, TRAIN, str(rank), str(world), meeting, result)
                for rank in range(world)
            ]
        for rank in ranks:
            rank.result()
        return torch.load(result, weights_only=True)

    alone, together = train(1), train(2)
    start = network().state_dict()
    assert not torch.equal(alone["0.coef"], start["0.coef"])
    for name, value in alone.items():
        assert (together[name] - value).abs().max() <= 1e-12, name


FORK = """
import multiprocessing
import signal
import torch
from test_torch_features import network, rows

model, x = network(), rows(5000).requires_grad_()

def compute():
    y = model(x)
    return y.detach(), torch.autograd.grad(y.square().sum(), x)[0]

def work(queue):
    signal.alarm(60)  # a child that waits for threads is ended, and its parent sees it
    queue.put([tensor.numpy() for tensor in compute()])

torch.set_num_threads(2)
expected = compute()
context = multiprocessing.get_context("fork")
queue = context.Queue()
child = context.Process(target=work, args=(queue,))
child.start()
found = queue.get(timeout=60)
child.join()
for one, other in zip(found, expected):
    assert abs(one - other.numpy()).max() <= 1e-12 * abs(one).max()
print("same", child.exitcode)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_computes_the_same():
    assert run_alone(FORK).split() == ["same", "0"]


def steps(model: torch.nn.Module, x: Tensor, count: int = 8) -> list[Tensor]:
    found = []
    for _ in range(count):
        y = model(x)
        model.zero_grad()
        y.square().sum().backward()
        found += [y.detach(), model[0].coef.grad.clone()]
    return found


@pytest.mark.parametrize("threads", [1, 2])
def test_python_threads_get_the_same_bits_as_each_alone(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        jobs = [(network(seed=seed), rows(700 + 900 * seed, seed=seed)) for seed in range(3)]
        expected = [steps(*job) for job in jobs]
        found: dict[int, list[Tensor]] = {}

        def work(n: int) -> None:
            torch.set_num_threads(threads)
            found[n] = steps(*jobs[n])

        workers = [threading.Thread(target=work, args=(n,)) for n in range(len(jobs))]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        torch.set_num_threads(before)
    for n, values in enumerate(expected):
        assert all(torch.equal(a, b) for a, b in zip(found[n], values, strict=True))


@native_only
@pytest.mark.parametrize("isa", ISAS)
def test_the_number_of_threads_changes_no_bit(isa, monkeypatch):
    """Each sum is made by one thread in an order that does not depend on how many there are."""
    before = torch.get_num_threads()
    k = case(Spline(3, True, "linear"), 0, (9000, 20, 40, 5)).to(torch.float32)
    found = []
    try:
        with native.using(isa), no_plain(monkeypatch):
            for count in (1, 2, 3, 4):
                torch.set_num_threads(count)
                coef = k.c.clone().requires_grad_()
                y = mix(k, "silu", coef=coef)
                (slope,) = torch.autograd.grad(y, coef, k.g)
                found.append((y.detach(), slope, *(run(op, k) for op in OPS)))
    finally:
        torch.set_num_threads(before)
    for values in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(values, found[0], strict=True))
