"""Datasets: drawn from a function, or taken from the user's arrays and checked."""

import numpy as np
import pandas as pd
import pytest
import torch

from edgewise.errors import DataError, EdgewiseError, InputError, ShapeError
from edgewise.problems.dataset import Dataset, Samples, as_dataset, create_dataset

KEYS = ["train_input", "train_label", "test_input", "test_label"]


def product(x):
    return x[:, [0]] * x[:, [1]]


# --- create_dataset --------------------------------------------------------------------------


def test_gives_pykans_dictionary():
    data = create_dataset(product, n_var=2)
    assert list(data) == KEYS
    assert [tuple(data[key].shape) for key in KEYS] == [(1000, 2), (1000, 1)] * 2
    assert all(value.dtype == torch.float64 for value in data.values())
    torch.testing.assert_close(data["train_label"], product(data["train_input"]), rtol=0, atol=0)
    assert not torch.equal(data["train_input"], data["test_input"])


def test_the_seed_decides_and_global_state_is_left_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, two, other = (create_dataset(product, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one["train_input"], two["train_input"])
    assert not torch.equal(one["train_input"], other["train_input"])


@pytest.mark.parametrize("ranges", [(2, 5), [2, 5], np.array([2, 5]), [(2, 5)] * 3])
def test_one_pair_serves_every_variable(ranges):
    x = create_dataset(lambda x: x[:, [0]], n_var=3, ranges=ranges)["train_input"]
    assert 2 <= x.min() and x.max() < 5
    torch.testing.assert_close(
        x.mean(0), torch.full((3,), 3.5, dtype=torch.float64), atol=0.15, rtol=0
    )


def test_pairs_are_taken_in_order():
    x = create_dataset(product, 2, [(-1, 0), (10, 20)])["test_input"]
    assert (x[:, 0] <= 0).all() and (x[:, 1] >= 10).all()


@pytest.mark.parametrize(
    ("f", "f_mode"),
    [
        (product, "col"),
        (lambda x: x[:, 0] * x[:, 1], "col"),
        (lambda x: x[0] * x[1], "row"),
        (lambda x: (x[0] * x[1])[None], "row"),
        (lambda x: (x[0] * x[1])[:, None], "row"),
    ],
)
def test_every_shape_of_label_means_one_column(f, f_mode):
    data = create_dataset(f, 2, f_mode=f_mode, train_num=7, test_num=5)
    torch.testing.assert_close(data["train_label"], product(data["train_input"]))
    assert data["test_label"].shape == (5, 1)


def test_several_outputs():
    assert create_dataset(lambda x: x, 3)["train_label"].shape == (1000, 3)
    rows = create_dataset(lambda x: torch.stack([x[0], x[1]]), 2, f_mode="row")
    assert torch.equal(rows["train_label"], rows["train_input"])


def test_float32_holds_the_same_points():
    wide, narrow = (create_dataset(product, dtype=d) for d in (torch.float64, torch.float32))
    assert narrow["train_input"].dtype == narrow["train_label"].dtype == torch.float32
    assert torch.equal(wide["train_input"].float(), narrow["train_input"])


@pytest.mark.parametrize(
    ("f", "arguments", "error", "said"),
    [
        (lambda x: x.sum(), {}, ShapeError, r"shape \(\) for 1000 points"),
        (lambda x: x[:1], {}, ShapeError, "nothing is broadcast"),
        (lambda x: torch.ones(1, dtype=x.dtype), {}, ShapeError, r"shape \(1,\)"),
        (lambda x: x[:, :0], {}, ShapeError, "expected"),
        (lambda x: x[..., None], {}, ShapeError, r"\(1000, 2, 1\)"),
        (lambda x: x.T, {}, ShapeError, r"\(2, 1000\)"),
        (lambda x: x + 1j, {}, ShapeError, "complex"),
        (lambda x: x.numpy(), {}, ShapeError, "ndarray"),
        (lambda x: torch.log(x), {}, DataError, "nan at x = .*domain"),
        (product, {"ranges": (1, -1)}, InputError, "low must be below its high"),
        (product, {"ranges": (0, float("inf"))}, InputError, "finite"),
        (product, {"ranges": [(0, 1)] * 3}, InputError, "2 such pairs"),
        (product, {"ranges": "row"}, InputError, "'row'"),
        (product, {"n_var": 0}, InputError, "n_var is 0"),
        (product, {"train_num": 2.5}, InputError, "train_num is 2.5"),
        (product, {"test_num": True}, InputError, "test_num is True"),
        (product, {"f_mode": "rows"}, InputError, "'rows'"),
        (product, {"dtype": torch.int64}, InputError, "int64"),
    ],
)
def test_what_cannot_be_a_dataset_is_said(f, arguments, error, said):
    with pytest.raises(error, match=said):
        create_dataset(f, **{"n_var": 2, **arguments})


# --- as_dataset ------------------------------------------------------------------------------

X = np.arange(12.0).reshape(6, 2)
Y = X @ [[1.0], [2.0]]


@pytest.mark.parametrize(
    "data",
    [
        (X, Y),
        [X, Y],
        (X, Y[:, 0]),
        (X, Y, None),
        (torch.tensor(X), Y),
        (X.tolist(), Y.tolist()),
        (X.astype(np.int32), Y.astype(np.uint8)),
        (X.astype(object), Y),
        (X.astype(">f8"), Y),
        (X.astype(np.longdouble), Y),
        (np.asfortranarray(X), Y),
        (X[::-1][::-1], Y[::-1][::-1]),
        (pd.DataFrame(X), pd.Series(Y[:, 0])),
        {"train_input": torch.tensor(X), "train_label": torch.tensor(Y)},
        {"train_input": X, "train_label": Y, "test_input": X, "test_label": Y[:, 0]},
        Dataset(Samples(torch.tensor(X), torch.tensor(Y)), None, ("a", "b"), ("c",)),
        as_dataset((X, Y)),
    ],
)
def test_every_form_gives_the_same_samples(data):
    dataset = as_dataset(data)
    assert dataset.train.x.dtype == dataset.train.y.dtype == torch.float64
    np.testing.assert_array_equal(dataset.train.x, X)
    np.testing.assert_array_equal(dataset.train.y, Y)
    assert dataset.train.weight is None
    assert len(dataset.train) == 6
    if dataset.test is not None:
        np.testing.assert_array_equal(dataset.test.y, Y)


def test_names():
    assert as_dataset((X, Y)).input_names == ("x_1", "x_2")
    assert as_dataset((X, Y)).output_names == ("y_1",)
    frame = pd.DataFrame(X, columns=["mass", "speed"])
    named = as_dataset((frame, pd.Series(Y[:, 0], name="energy")))
    assert (named.input_names, named.output_names) == (("mass", "speed"), ("energy",))
    assert as_dataset(named).input_names == ("mass", "speed")
    assert as_dataset((frame, Y), input_names=["a", "b"]).input_names == ("a", "b")


def test_weights_come_along():
    weight = [1, 2, 0, 1, 1, 1]
    np.testing.assert_array_equal(as_dataset((X, Y, weight)).train.weight, weight)
    train = {"train_input": X, "train_label": Y}
    test = as_dataset({**train, "test_input": X, "test_label": Y, "test_weight": weight}).test
    assert test is not None
    np.testing.assert_array_equal(test.weight, weight)


def test_precision_is_kept_and_the_wider_wins():
    single = as_dataset((X.astype(np.float32), Y.astype(np.float32)))
    assert single.train.x.dtype == single.train.y.dtype == torch.float32
    mixed = as_dataset((X.astype(np.float32), Y))
    assert mixed.train.x.dtype == mixed.train.y.dtype == torch.float64


def test_booleans_count_as_zero_and_one():
    np.testing.assert_array_equal(as_dataset((X > 3, Y)).train.x, (X > 3).astype(float))


def test_arrays_that_may_not_be_written_are_read(tmp_path):
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    np.testing.assert_array_equal(as_dataset((mapped, Y)).train.x, X)


def test_tensors_are_shared_and_lose_their_history():
    x = torch.tensor(X, requires_grad=True)
    dataset = as_dataset((x, Y))
    assert dataset.train.x.data_ptr() == x.data_ptr()
    assert not dataset.train.x.requires_grad


def test_constants_and_repeated_rows_are_data():
    dataset = as_dataset((np.ones((5, 2)), np.ones(5)))
    assert dataset.train.x.shape == (5, 2)
    assert as_dataset((np.ones((1, 1)), [3])).train.y.item() == 3


def spoilt(value, row=3, column=1):
    x = X.copy()
    x[row, column] = value
    return x


@pytest.mark.parametrize(
    ("data", "error", "said"),
    [
        ((spoilt(np.nan), Y), DataError, r"train x, column 'x_2' \(index 1\), row 3 .* is nan"),
        ((X, spoilt(np.inf)), DataError, r"train y, column 'y_2'.*row 3 .* is inf"),
        ((pd.DataFrame(spoilt(np.nan), columns=["a", "b"]), Y), DataError, "column 'b'"),
        ((X, Y, [np.nan] * 6), DataError, "weight of row 0"),
        ((np.array([[1.0, None]], dtype=object), [1]), DataError, "'x_2'.*row 0"),
        (
            {"train_input": X, "train_label": Y, "test_input": spoilt(np.nan), "test_label": Y},
            DataError,
            "test x",
        ),
        ((X[:, 0], Y), ShapeError, r"train x has shape \(6,\).*\[:, None\]"),
        ((X[None], Y), ShapeError, r"\(1, 6, 2\)"),
        ((X, Y[..., None]), ShapeError, r"train y has shape"),
        ((X[:, :0], Y), ShapeError, "at least one column"),
        ((X, Y[:5]), ShapeError, "train x has 6 rows and train y 5"),
        ((X[:0], Y[:0]), ShapeError, "no rows"),
        ((X + 1j, Y), ShapeError, "train x is complex"),
        ((torch.tensor(X) + 1j, Y), ShapeError, "train x is complex"),
        ((torch.tensor(X).to_sparse(), Y), ShapeError, "sparse"),
        ((X.astype(str), Y), ShapeError, "not text"),
        ((np.array([["a", 1.0]], dtype=object), [1]), ShapeError, "text"),
        (([[1, 2], [3]], [1, 2]), ShapeError, "not a table of numbers"),
        ((X, Y, np.ones(5)), ShapeError, r"train weight has shape \(5,\); expected \(6,\)"),
        ((X, Y, [1, 1, -1, 1, 1, 1]), DataError, "weight of row 2 is -1"),
        ((X, Y, np.zeros(6)), DataError, "every train weight is zero"),
        ({"train_input": X}, InputError, "no 'train_label'"),
        ({"train_input": X, "train_label": Y, "test_input": X}, InputError, "only one of"),
        (
            {"train_input": X, "train_label": Y, "test_input": X[:, :1], "test_label": Y},
            ShapeError,
            "train x has 2 columns and test x 1",
        ),
        (X, InputError, "data is ndarray"),
        (None, InputError, "data is NoneType"),
    ],
)
def test_what_cannot_be_used_is_named(data, error, said):
    with pytest.raises(error, match=said) as caught:
        as_dataset(data)
    assert isinstance(caught.value, EdgewiseError)


@pytest.mark.parametrize("names", [["a"], ["a", "a"], ["a", " "], "ab"])
def test_names_must_fit(names):
    with pytest.raises(InputError, match="names"):
        as_dataset((X, Y), input_names=names)


# --- parts of samples ------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
def test_chosen_rows_keep_what_belongs_together(weighted):
    x = torch.arange(10.0)[:, None]
    whole = Samples(x, 2 * x, 3 * x[:, 0] if weighted else None)
    even = x[:, 0] % 2 == 0
    for index, places in (
        (even, [0, 2, 4, 6, 8]),
        (torch.tensor([7, 1]), [7, 1]),
        (slice(2), [0, 1]),
    ):
        part = whole.rows(index)
        assert part.x[:, 0].tolist() == places
        assert torch.equal(part.y, 2 * part.x)
        assert part.weight is None or torch.equal(part.weight, 3 * part.x[:, 0])
        assert (part.weight is not None) == weighted


@pytest.mark.parametrize("most", [1, 3, 4, 9, 10, 100])
def test_thinned_are_at_most_so_many_evenly_spaced(most):
    x = torch.arange(10.0)[:, None]
    thinned = Samples(x, x).thinned(most)
    assert 1 <= len(thinned) <= most
    assert len(thinned.x[:, 0].diff().unique()) <= 1
    assert len(thinned) == 10 or most < 10
