"""Classification: labels and probabilities are one, and every solver learns from them."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset
from train_examples import generator, parameters_of, small_model

from edgewise import KAN, train
from edgewise.errors import DataError, InputError, ShapeError
from edgewise.train import LBFGS, Adam, Auto, LevenbergMarquardt

double = torch.float64
SOLVERS = [
    LevenbergMarquardt(12),
    LBFGS(25),
    Adam(100, batch=40),
    Auto(10, restarts=1, warm_up=30),
]
every_solver = pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: solver.name)


def three_rings(rows=120, seed=0):
    """x (rows, 2) in rings about the origin, and the ring's number."""
    drawn = generator(seed)
    label = torch.arange(rows) % 3
    radius = 0.3 * label + 0.25 * torch.rand(rows, generator=drawn, dtype=double)
    angle = 2 * torch.pi * torch.rand(rows, generator=drawn, dtype=double)
    return radius[:, None] * torch.stack([angle.cos(), angle.sin()], 1), label


def parted(rows=120):
    x, label = three_rings(rows)
    other, theirs = three_rings(60, seed=1)
    return {"train_input": x, "train_label": label, "test_input": other, "test_label": theirs}


@every_solver
def test_labels_and_probabilities_give_the_same_fit_to_the_bit(solver):
    x, label = three_rings(60)
    solver = replace(solver, steps=8)
    rows = torch.nn.functional.one_hot(label, 3)
    forms = [label, label[:, None].to(torch.uint8), label.double(), rows.double()]
    fits = [
        train.fit(small_model((2, 3)), (x, y), solver=solver, loss="cross_entropy") for y in forms
    ]
    for fitted in fits[1:]:
        assert torch.equal(parameters_of(fitted.model), parameters_of(fits[0].model))
        assert fitted.history.train_loss == fits[0].history.train_loss
        assert fitted.history["train_accuracy"] == fits[0].history["train_accuracy"]


@every_solver
def test_every_solver_learns_the_classes_and_tells_how_many_are_right(solver):
    data = parted()
    fitted = train.fit(small_model((2, 3)), data, solver=solver, loss="cross_entropy")
    history = fitted.history
    for part in ("train", "test"):
        right = fitted.model(data[f"{part}_input"]).argmax(1) == data[f"{part}_label"]
        rows = history[f"{part}_accuracy"]
        assert len(rows) == len(history) and f"{part}_accuracy" in list(history)
        assert rows[-1] == pytest.approx(float(right.double().mean()))
        assert rows[-1] >= (0.9 if part == "train" else 0.8)
    assert f"test {100 * rows[-1]:.1f}%" in repr(history)


def test_weights_count_in_the_accuracy():
    x, label = three_rings(30)
    weight = torch.arange(30) % 4
    fitted = train.fit(
        small_model((2, 3)), (x, label, weight), solver=Adam(5), loss="cross_entropy"
    )
    right = (fitted.model(x).argmax(1) == label).double()
    by_hand = float((right * weight).sum() / weight.sum())
    assert fitted.history["train_accuracy"][-1] == pytest.approx(by_hand)


def test_other_losses_have_no_accuracy():
    x, label = three_rings(30)
    fitted = train.fit(small_model((2, 1)), (x, label), solver=Adam(5))
    assert "train_accuracy" not in list(fitted.history) and "accuracy" not in repr(fitted.history)


@pytest.mark.parametrize("kind", ["loader", "arrays", "lists"])
def test_labels_come_in_every_form_of_data(kind):
    x, label = three_rings()
    model = KAN([2, 3], seed=1)
    if kind == "loader":
        loader = DataLoader(TensorDataset(x, label), batch_size=60)
        history = model.fit(loader, steps=60, loss_fn="cross_entropy")
    else:
        given = (x.numpy(), label.numpy().astype(np.int32)) if kind == "arrays" else None
        given = given or (x.tolist(), label.tolist())
        history = model.fit(given, "Adam", steps=60, loss_fn="cross_entropy")
    assert history["train_accuracy"][-1] > 0.8
    # what the model remembers fits its outputs, for the verbs that need data
    assert torch.equal(model.data.train.y.argmax(1), label) and model.output_names is None
    model.prune()


# --- what fits give ---------------------------------------------------------------------------


def test_probabilities_sum_to_one_and_the_class_is_the_likeliest():
    x, label = three_rings()
    model = KAN([2, 3], seed=1)
    model.fit((x, label), "LM", steps=10, loss_fn="cross_entropy")
    for rows in (x, x.float(), x.view(6, 20, 2), 1e3 * x, x[:0]):
        p = model.predict_proba(rows)
        assert p.shape == (*rows.shape[:-1], 3) and not p.requires_grad
        torch.testing.assert_close(p.sum(-1), torch.ones_like(p[..., 0]), rtol=1e-14, atol=0)
        assert bool((p >= 0).all()) and torch.equal(model.predict_class(rows), p.argmax(-1))
        assert torch.equal(model.predict_class(rows), model(rows).argmax(-1))
    assert float((model.predict_class(x) == label).double().mean()) > 0.9


def test_one_output_has_no_classes():
    with pytest.raises(InputError, match=r"number of classes.*cross_entropy"):
        KAN([2, 1]).predict_proba(torch.zeros(3, 2))


@pytest.mark.parametrize("hidden", [[], [3]])
def test_separable_classes_leave_scores_finite_and_the_fit_ends(hidden):
    """The likelihood has no maximum here; the prior must hold the scores."""
    x = torch.linspace(-1, 1, 40, dtype=double)[:, None]
    label = (x[:, 0] > 0.05).long()
    fits = []
    for steps in (25, 50):
        model = KAN([1, *hidden, 2], seed=0)
        history = model.fit((x, label), "LM", steps=steps, loss_fn="cross_entropy")
        assert history["train_accuracy"][-1] == 1.0
        assert 1e-4 < history["train_loss"][-1] < 0.3
        fits.append(model(x).detach())
        assert fits[-1].abs().max() < 30
    if not hidden:
        torch.testing.assert_close(*fits, rtol=1e-6, atol=1e-6)


def test_the_fit_of_noise_knows_that_it_knows_nothing():
    x = torch.rand(400, 2, generator=generator(2), dtype=double)
    label = torch.randint(2, (400,), generator=generator(3))
    data = {"train_input": x[:200], "train_label": label[:200]}
    data |= {"test_input": x[200:], "test_label": label[200:]}
    history = KAN([2, 2], seed=0).fit(data, "LM", steps=15, loss_fn="cross_entropy")
    assert history["test_loss"][-1] < 1.15 * math.log(2)


# --- what does not fit ------------------------------------------------------------------------


@pytest.mark.parametrize("value", [3, -1, 0.5])
@pytest.mark.parametrize("part", ["train", "test"])
def test_a_label_outside_the_classes_is_named_with_its_row(value, part):
    data = parted()
    data["train_label"], data["test_label"] = data["train_label"] * 1.0, data["test_label"] * 1.0
    data[f"{part}_label"][17] = value
    for fit in (train.fit, lambda model, data, loss: model.fit(data, loss_fn=loss)):
        with pytest.raises(DataError, match=rf"{part} y, row 17 .*label {value};.*0 to 2"):
            fit(small_model((2, 3)), data, loss="cross_entropy")


def test_labels_without_cross_entropy_are_told_what_they_need():
    x, label = three_rings(30)
    with pytest.raises(ShapeError, match="labels need loss='cross_entropy'"):
        train.fit(small_model((2, 3)), (x, label))


def test_formulas_of_a_classifier_give_its_scores():
    x = 2 * torch.rand(150, 2, generator=generator(5), dtype=double) - 1
    label = (x.square().sum(1) < 0.5).long()
    model = KAN([2, 2], seed=0)
    model.fit((x, label), "LM", steps=15, loss_fn="cross_entropy")
    before, scores = model.predict_class(x), model(x).detach()
    found = model.auto_symbolic(["x^2", "x", "0"])
    assert float((model.predict_class(x) == before).double().mean()) > 0.9
    assert (model(x).detach() - scores).square().mean() < 0.2 * scores.var()
    assert "x_1" in str(model.symbolic_formula()[0]) and str(found)
    assert model.formula(1).predict(x.numpy()).shape == (150,)
