"""The one fit: whatever the solver, data and units, what came stays and the best comes out."""

import math
import time

import pytest
import torch
from train_examples import generator, parameters_of, rms, small_model, smooth, smooth_data

from edgewise import train
from edgewise.errors import DataError, FitError, InputError, ShapeError
from edgewise.problems.dataset import Samples
from edgewise.train import LBFGS, Adam, Auto, EdgeSparsity, GridUpdates, LevenbergMarquardt
from edgewise.train.scaling import rescale

SOLVERS = [
    LevenbergMarquardt(15),
    LevenbergMarquardt(15, grids=GridUpdates(3, 9)),
    LBFGS(20),
    Adam(60),
    Adam(60, batch=32),
    Auto(20, restarts=1, warm_up=20, update_grid=False),
]
every_solver = pytest.mark.parametrize("solver", SOLVERS, ids=str)


@every_solver
@pytest.mark.parametrize("penalty", [None, EdgeSparsity(1e-3)], ids=["plain", "sparse"])
def test_every_solver_lowers_the_loss_and_leaves_its_arguments_alone(solver, penalty):
    model, data = small_model(), smooth_data()
    before = model.clone().state_dict()
    given = {name: tensor.clone() for name, tensor in data.items()}
    random = torch.get_rng_state()
    fitted = train.fit(model, data, solver=solver, penalty=penalty)
    assert rms(fitted.model, data) < 0.8 * rms(model, data)
    assert fitted.status == "finished" and fitted.solver == solver.name
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(torch.equal(tensor, given[name]) for name, tensor in data.items())
    assert torch.equal(torch.get_rng_state(), random)
    own = {t.data_ptr() for t in model.state_dict().values()}
    assert own.isdisjoint(t.data_ptr() for t in fitted.model.state_dict().values() if t.numel())


@every_solver
def test_seeds_decide_to_the_bit_and_test_data_do_not_count(solver):
    data, other = smooth_data(), smooth_data()
    other["test_input"], other["test_label"] = other["test_input"][:7] ** 2, torch.ones(7, 1)
    alone = (data["train_input"], data["train_label"])
    one, two, three = (train.fit(small_model(), d, solver=solver) for d in (data, other, alone))
    assert torch.equal(parameters_of(one.model), parameters_of(two.model))
    assert torch.equal(parameters_of(one.model), parameters_of(three.model))
    assert one.history.train_loss == two.history.train_loss == three.history.train_loss
    assert one.history.test_loss != two.history.test_loss
    assert set(three.history.test_loss) == {None}


@every_solver
def test_the_history_says_what_happened(solver):
    data = smooth_data()
    fitted = train.fit(small_model(), data, solver=solver)
    history = fitted.history
    assert history.loss_name == "rmse" and len(history) == len(history.step) > 0
    assert all(len(history[name]) == len(history) for name in history)
    assert all(b > a for a, b in zip(history.step, history.step[1:], strict=False))
    assert all(b >= a for a, b in zip(history.seconds, history.seconds[1:], strict=False))
    assert set(history.penalty) == {0.0}
    if not isinstance(solver, Auto):
        assert history.step[-1] <= solver.steps
        # the last row is the model that is returned, in the target's unit
        assert history.train_loss[-1] == pytest.approx(rms(fitted.model, data), rel=1e-6)
        with torch.no_grad():
            error = fitted.model(data["test_input"]) - data["test_label"]
        assert history.test_loss[-1] == pytest.approx(float(error.square().mean().sqrt()), rel=1e-6)
    assert "train rmse" in repr(history)


# --- ending early ----------------------------------------------------------------------------


@every_solver
def test_a_callback_ends_the_run(solver):
    seen = []

    def stop(model, history):
        seen.append(len(history))
        return len(seen) == 2

    fitted = train.fit(small_model(), smooth_data(), solver=solver, callbacks=[stop])
    assert fitted.status == "callback" and seen == [1, 2] and len(fitted.history) == 2


@every_solver
@pytest.mark.parametrize("at", [1, 3])
def test_an_interrupt_returns_the_best_so_far(solver, at):
    data, seen = smooth_data(), []

    def interrupt(model, history):
        seen.append(rms(model, data))
        if len(seen) == at:
            raise KeyboardInterrupt

    fitted = train.fit(small_model(), data, solver=solver, callbacks=[interrupt])
    assert fitted.status == "interrupted" and len(seen) == at
    assert rms(fitted.model, data) == pytest.approx(min(seen), rel=1e-9)


def test_an_interrupt_before_the_first_step_returns_the_start():
    class Interrupted(LevenbergMarquardt):
        def run(self, model, *others):
            model.layers[0].coef.data.fill_(torch.nan)
            raise KeyboardInterrupt

    data = smooth_data()
    model = train.fit(small_model(), data, solver=LevenbergMarquardt(3)).model
    fitted = train.fit(model, data, solver=Interrupted())
    assert fitted.status == "interrupted"
    torch.testing.assert_close(fitted.model(data["test_input"]), model(data["test_input"]))


@pytest.mark.parametrize("solver", [LevenbergMarquardt(10**6, tolerance=0.0), LBFGS(10**6), Auto()])
def test_the_time_limit_is_kept(solver):
    model, data = small_model((2, 4, 1)), smooth_data(rows=100)
    data["train_label"] += torch.randn(100, 1, generator=generator(), dtype=torch.float64)
    started = time.monotonic()
    fitted = train.fit(model, data, solver=solver, penalty=EdgeSparsity(1e-3), time_limit=0.3)
    assert fitted.status == "time limit"
    assert time.monotonic() - started < 3  # one step and the way in and out, on a busy machine
    assert rms(fitted.model, data) <= rms(model, data)


def noisy_data():
    """60 rows, and the 12 of them that early stopping holds out."""
    data = smooth_data(rows=60)
    data["train_label"] += 0.5 * torch.randn(60, 1, generator=generator(), dtype=torch.float64)
    rows = torch.randperm(60, generator=generator())[:12]
    return data, {name: data[name][rows] for name in ("train_input", "train_label")}


@pytest.mark.parametrize(
    ("solver", "patience", "status"),
    [
        (LevenbergMarquardt(300, tolerance=0.0), 20, "early stopping"),
        (LevenbergMarquardt(40, tolerance=0.0), 10**6, "finished"),
        (LBFGS(500), 30, "early stopping"),
        (Adam(2000), 100, "early stopping"),
        (Adam(150), 10**6, "finished"),
    ],
)
def test_early_stopping_returns_the_best_on_held_out_rows(solver, patience, status):
    data, held = noisy_data()

    def judged(model):
        return rms(model, held)

    model = small_model((2, 5, 1), grid=8)
    fitted = train.fit(model, data, solver=solver, patience=patience, metrics=[judged])
    assert fitted.status == status
    errors = fitted.history["judged"]
    assert rms(fitted.model, held) == pytest.approx(min(errors), rel=1e-9)
    assert errors[-1] > min(errors)
    if status == "early stopping":
        best = fitted.history.step[errors.index(min(errors))]
        assert fitted.history.step[-1] - best == pytest.approx(patience, abs=9)


# --- units -----------------------------------------------------------------------------------


def test_callbacks_and_metrics_see_the_users_units():
    data, seen = smooth_data(), []
    data["train_label"] = 1000 + 50 * data["train_label"]

    def error(model):
        return rms(model, data)

    def look(model, history):
        seen.append(rms(model, data))

    history = train.fit(
        small_model(), data, solver=LevenbergMarquardt(5), callbacks=[look], metrics=[error]
    ).history
    assert history["error"] == seen == pytest.approx(history.train_loss, rel=1e-6)
    assert "error" in list(history)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("x_unit", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("y_unit", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("solver", SOLVERS[1:4], ids=str)
def test_extreme_units_give_a_finite_model_or_an_error(dtype, x_unit, y_unit, solver):
    data = smooth_data(rows=40)
    x = (x_unit * data["train_input"]).to(dtype)
    y = (y_unit * data["train_label"]).to(dtype)
    model = small_model(dtype=dtype)
    try:
        fitted = train.fit(model, (x, y), solver=solver)
    except FitError:
        assert x_unit != 1.0
        return
    assert parameters_of(fitted.model).isfinite().all()
    with torch.no_grad():
        prediction = fitted.model(x)
    assert prediction.isfinite().all()
    if x_unit == 1.0:  # the target's unit does not matter at all
        error = ((prediction.double() - y.double()) / y_unit).square().mean().sqrt()
        assert error < 0.7 * (y.double() / y_unit).std()
        assert all(math.isfinite(value) for value in fitted.history.train_loss)


def test_the_targets_unit_changes_nothing_but_the_unit():
    data = smooth_data()
    solver = LevenbergMarquardt(5)
    x, y = data["train_input"], data["train_label"]
    model = train.fit(small_model(), (x, y), solver=solver).model
    scaled = model.clone()
    rescale(scaled, y.new_tensor([1e6]), y.new_tensor([-3e6]))
    again = train.fit(model, (x, y), solver=solver).model
    other = train.fit(scaled, (x, 1e6 * y - 3e6), solver=solver).model
    torch.testing.assert_close((other(x) + 3e6) / 1e6, again(x), rtol=1e-6, atol=1e-6)
    cold = [train.fit(small_model(), (x, u * y), solver=solver).model(x) / u for u in (1e3, 1e-9)]
    torch.testing.assert_close(*cold, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6, -3e-20])
@every_solver
def test_a_constant_target(solver, value):
    x = smooth_data()["train_input"]
    y = torch.full((len(x), 1), value, dtype=torch.float64)
    fitted = train.fit(small_model(noise_scale=0.01), (x, y), solver=solver)
    error = float((fitted.model(x) - y).abs().max().detach())
    assert error < 0.5 * max(1.0, abs(value))
    if solver.name == "LM":
        assert error < 1e-4 * max(1.0, abs(value))


# --- few rows, many outputs ------------------------------------------------------------------


@every_solver
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_fewer_rows_than_parameters(solver, rows):
    data = smooth_data(rows=rows)
    fitted = train.fit(small_model(), data, solver=solver)
    assert parameters_of(fitted.model).isfinite().all()
    assert rms(fitted.model, data) <= rms(small_model(), data)
    with torch.no_grad():
        assert fitted.model(data["test_input"]).isfinite().all()


@every_solver
def test_several_outputs(solver):
    data = smooth_data()
    x = data["train_input"]
    y = torch.cat([x.sum(1, keepdim=True), 3 * x[:, [0]] * x[:, [1]], x[:, [0]].sin()], 1)
    model = small_model((2, 4, 3))
    fitted = train.fit(model, (x, y), solver=solver)
    with torch.no_grad():
        before, after = ((m(x) - y).square().mean(0) for m in (model, fitted.model))
    assert after.mean() < before.mean()
    if solver.name == "LM":
        assert (after.sqrt() < 0.05 * y.std(0)).all()


# --- losses and data -------------------------------------------------------------------------


def two_moons(rows=200):
    angle = torch.pi * torch.rand(rows, generator=generator(), dtype=torch.float64)
    label = torch.arange(rows) % 2
    x = torch.stack([angle.cos(), angle.sin()], 1)
    x[label == 1] = torch.tensor([1.0, 0.5], dtype=torch.float64) - x[label == 1]
    x += 0.1 * torch.randn(rows, 2, generator=generator(1), dtype=torch.float64)
    return x, label, torch.nn.functional.one_hot(label).double()


@pytest.mark.parametrize("solver", [LevenbergMarquardt(20), Auto(30, restarts=1, warm_up=50)])
def test_cross_entropy_classifies_two_moons(solver):
    x, label, classes = two_moons()
    fitted = train.fit(small_model((2, 2)), (x, classes), solver=solver, loss="cross_entropy")
    assert (fitted.model(x).argmax(1) == label).double().mean() >= 0.95
    history = fitted.history
    assert history.loss_name == "cross_entropy"
    assert history.train_loss[-1] < math.log(2) / 4


@pytest.mark.parametrize("solver", [LBFGS(30), Adam(100)])
def test_any_torch_loss_by_its_gradient(solver):
    data = smooth_data()
    fitted = train.fit(small_model(), data, solver=solver, loss=torch.nn.functional.l1_loss)
    assert rms(fitted.model, data) < rms(small_model(), data)
    assert fitted.history.loss_name == "l1_loss"


@pytest.mark.parametrize(
    ("data", "options", "error", "words"),
    [
        ("data", {"loss": "huber"}, InputError, "huber.*'mse'"),
        ("data", {"loss": torch.nn.L1Loss(), "solver": LevenbergMarquardt()}, InputError, "LBFGS"),
        ("weighted", {"loss": torch.nn.L1Loss()}, InputError, "cannot take weights"),
        ("data", {"loss": "cross_entropy"}, InputError, "two classes"),
        ("data", {"patience": 5, "validation": 1.5}, InputError, "validation is 1.5"),
        ("row", {"patience": 5}, InputError, "at least 2 rows"),
        ("inputs", {}, ShapeError, r"3 inputs and 1 outputs.*2 and 1.*\[3, \.\.\., 1\]"),
        ("outputs", {}, ShapeError, "2 inputs and 2 outputs"),
        ("nan", {}, DataError, "row"),
    ],
)
def test_what_does_not_fit_is_named(data, options, error, words):
    x, y = smooth_data(rows=20)["train_input"], smooth_data(rows=20)["train_label"]
    bad = x.clone()
    bad[3, 1] = torch.nan
    given = {
        "data": (x, y),
        "weighted": (x, y, y[:, 0].abs()),
        "row": (x[:1], y[:1]),
        "inputs": (x[:, [0, 1, 1]], y),
        "outputs": (x, y[:, [0, 0]]),
        "nan": (bad, y),
    }[data]
    with pytest.raises(error, match=words):
        train.fit(small_model(), given, **options)


def test_scores_and_class_numbers_are_no_probabilities():
    x, label, classes = two_moons(20)
    for targets in (3 * classes, classes - 0.5, label[:, None].expand(20, 2)):
        with pytest.raises(DataError, match=r"sum to 1.*one_hot"):
            train.fit(small_model((2, 2)), (x, targets), loss="cross_entropy")


def test_a_loss_that_is_not_finite_at_the_start_is_told():
    model = small_model()
    model.layers[0].coef.data.fill_(1e200)
    with pytest.raises(FitError, match="not finite at the start"):
        train.fit(model, smooth_data(), solver=LevenbergMarquardt(3))


# --- batches ---------------------------------------------------------------------------------


def test_batches_depend_on_seed_and_epoch_alone():
    data = Samples(torch.zeros(10, 2), torch.arange(10.0)[:, None])
    drawn = train.solvers.minibatches(data, 4, seed=3)
    epochs = [torch.cat([next(drawn).y[:, 0] for _ in range(3)]) for _ in range(2)]
    assert all(sorted(epoch.tolist()) == list(range(10)) for epoch in epochs)
    assert not torch.equal(*epochs)
    again = train.solvers.minibatches(data, 4, seed=3)
    assert torch.equal(torch.cat([next(again).y[:, 0] for _ in range(3)]), epochs[0])
    whole = train.solvers.minibatches(data, None, seed=3)
    assert next(whole) is data


def test_a_smooth_target_is_learnt_far_from_zero():
    data = smooth_data()
    y = 1e6 + smooth(data["train_input"])
    fitted = train.fit(small_model(), (data["train_input"], y), solver=LevenbergMarquardt(40))
    assert rms(fitted.model, {"train_input": data["train_input"], "train_label": y}) < 0.1
