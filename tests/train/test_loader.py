"""Mini-batches from a torch DataLoader."""

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset
from train_examples import generator, parameters_of, rms, small_model, smooth_data

from edgewise import train
from edgewise.errors import DataError, InputError
from edgewise.train import LBFGS, Adam, Auto, LevenbergMarquardt


def loader_of(*tensors, seed=0, **options):
    options = {"batch_size": 16, "shuffle": True, "generator": generator(seed), **options}
    return DataLoader(TensorDataset(*tensors), **options)


def rows():
    data = smooth_data(rows=60)
    return data, data["train_input"], data["train_label"]


def test_adam_takes_its_batches_from_the_loader():
    data, x, y = rows()
    sizes = []

    class Watched(DataLoader):
        def __iter__(self):
            for batch in super().__iter__():
                sizes.append(len(batch[0]))
                yield batch

    loader = Watched(TensorDataset(x, y), batch_size=25, generator=generator(), shuffle=True)
    fitted = train.fit(small_model(), loader, solver=Adam(31))
    # one pass for the rows as a whole, then one batch a step
    assert sizes == [25, 25, 10] * (1 + 10) + [25]
    assert rms(fitted.model, data) < 0.8 * rms(small_model(), data)
    assert fitted.history.train_loss[-1] == pytest.approx(rms(fitted.model, data), rel=1e-6)


def test_adam_is_the_default_and_the_loaders_generator_decides():
    _, x, y = rows()
    fits = [train.fit(small_model(), loader_of(x, y, seed=s), solver=Adam(40)) for s in (1, 1, 2)]
    assert torch.equal(*(parameters_of(fitted.model) for fitted in fits[:2]))
    assert not torch.equal(*(parameters_of(fitted.model) for fitted in fits[1:]))

    def stop(model, history):
        return True

    assert train.fit(small_model(), loader_of(x, y), callbacks=[stop]).solver == "Adam"


@pytest.mark.parametrize(
    "solver", [LevenbergMarquardt(5), LBFGS(5), Auto(20, restarts=1, warm_up=10)], ids=str
)
def test_other_solvers_use_all_rows(solver):
    _, x, y = rows()
    one = train.fit(small_model(), (x, y), solver=solver)
    two = train.fit(small_model(), loader_of(x, y, shuffle=False), solver=solver)
    assert torch.equal(parameters_of(one.model), parameters_of(two.model))


def test_targets_of_one_dimension_weights_and_any_unit():
    _, x, y = rows()
    weight = torch.rand(60, generator=generator(), dtype=torch.float64)
    fitted = train.fit(small_model(), loader_of(x, 1e6 * y[:, 0], weight), solver=Adam(60))
    scaled = {"train_input": x, "train_label": 1e6 * y}
    assert rms(fitted.model, scaled) < 0.8e6 * float(y.std())


def test_loaders_that_do_not_fit():
    _, x, y = rows()
    with pytest.raises(InputError, match=r"list.*\(x, y, weight\).*TensorDataset"):
        train.fit(small_model(), loader_of(x))
    with pytest.raises(InputError, match=r"no batch.*drop_last"):
        train.fit(small_model(), loader_of(x, y, batch_size=100, drop_last=True))
    with pytest.raises(InputError, match="holds rows out"):
        train.fit(small_model(), loader_of(x, y), patience=5)
    x[7, 0] = torch.inf
    with pytest.raises(DataError):
        train.fit(small_model(), loader_of(x, y))
