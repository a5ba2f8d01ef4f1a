"""What a search returns: rows by number, exports that agree, files that give back the same bits."""

from pathlib import Path

import numpy as np
import pytest
import sympy
import torch

import edgewise
from edgewise.discovery import Discovery
from edgewise.errors import FileError, InputError

X = np.random.default_rng(0).uniform(1, 5, (200, 2))


@pytest.fixture(scope="module")
def found() -> Discovery:
    y = 0.713 * X[:, 0] / X[:, 1] + 0.01 * np.random.default_rng(1).normal(size=len(X))
    return edgewise.discover(X, y, ["a", "b c"], weight=X[:, 0], time_limit=6)


def test_every_row_is_exported_alike(found: Discovery) -> None:
    for row, candidate in enumerate(found.front):
        formula = found.formula(row)
        assert formula is candidate.formula
        values = found.predict(X, row)
        scope: dict = {}
        exec(formula.python(), scope)  # noqa: S102 (our own source: that it runs is the claim)
        assert np.allclose(scope["formula"](*X.T), values, rtol=1e-12)
        inputs = torch.from_numpy(X).requires_grad_()
        assert np.array_equal(formula.torch(inputs).detach().numpy(), values)
        network = found.network(row)(torch.from_numpy(X)).detach().numpy()[:, 0]
        assert np.allclose(network, values, rtol=1e-9)
        symbols = sympy.lambdify([sympy.Symbol(n, real=True) for n in found.names], formula.sympy)
        assert np.allclose(symbols(*X.T), values, rtol=1e-12)
        assert formula.latex()


def test_torch_is_differentiable_and_takes_any_leading_shape(found: Discovery) -> None:
    x = torch.rand(3, 4, 2, dtype=torch.float64, requires_grad=True) + 1
    values = found.best.torch(x)
    assert values.shape == (3, 4)
    (slope,) = torch.autograd.grad(values.sum(), x)
    step = 1e-6
    moved = found.best.torch(x + torch.tensor([step, 0.0]))
    assert torch.allclose((moved - values) / step, slope[..., 0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("row", [1000, -1000, "1", 1.5])
def test_a_row_that_is_not_there(found: Discovery, row: object) -> None:
    with pytest.raises(InputError, match="rows are 0 to"):
        found.formula(row)  # type: ignore[arg-type]


def test_a_file_gives_back_the_same(found: Discovery, tmp_path: Path) -> None:
    path = tmp_path / "found.edgewise"
    assert found.save(path) == path
    read = Discovery.load(path)
    assert str(read) == str(found)
    assert (read.pick, read.names, read.target) == (found.pick, found.names, found.target)
    assert (read.notes, read.status, read.seconds) == (found.notes, found.status, found.seconds)
    for row, (mine, theirs) in enumerate(zip(found.front, read.front, strict=True)):
        assert np.array_equal(found.predict(X, row), read.predict(X, row))
        assert mine.formula.constants == theirs.formula.constants
        assert mine.formula.latex() == theirs.formula.latex()
        assert (mine.rmse, mine.r2, mine.error, mine.origin) == (
            (theirs.rmse, theirs.r2, theirs.error, theirs.origin)
        )
    for part in ("train", "held_out"):
        for name in ("x", "y", "weight"):
            assert torch.equal(
                getattr(getattr(found, part), name), getattr(getattr(read, part), name)
            )


def test_an_old_file_predicts_as_it_did() -> None:
    """Written once with its schema and never again: the figures in it are those of its rows."""
    read = Discovery.load(Path(__file__).parent / "golden" / "schema1.edgewise")
    assert read.names == ("größe", "t") and len(read.front) == 2
    for row, candidate in enumerate(read.front):
        residual = read.predict(read.held_out.x, row) - read.held_out.y[:, 0].numpy()
        assert np.isclose(np.sqrt(np.mean(residual**2)), candidate.rmse, rtol=1e-12)


def test_few_rows_stay_one_object(tmp_path: Path) -> None:
    made = edgewise.discover(X[:6], X[:6, 0] ** 2, time_limit=2)
    made.save(tmp_path / "few")
    read = Discovery.load(tmp_path / "few")
    assert read.train is read.held_out and read.unseen == 0


def test_every_changed_byte_is_noticed(found: Discovery, tmp_path: Path) -> None:
    whole = found.save(tmp_path / "found").read_bytes()
    generator = np.random.default_rng(2)
    for place in generator.integers(0, len(whole), 60).tolist():
        data = bytearray(whole)
        data[place] ^= 1
        path = tmp_path / "changed"
        path.write_bytes(data)
        try:
            read = Discovery.load(path)
        except FileError:
            continue
        assert str(read) == str(found), f"byte {place}"


def test_other_files_are_refused(found: Discovery, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="check the path"):
        Discovery.load(tmp_path / "nowhere")
    model = edgewise.save(found.model, tmp_path / "model.safetensors")
    with pytest.raises(FileError, match=r"Discovery\.save"):
        Discovery.load(model)
    (tmp_path / "text").write_text("hello")
    with pytest.raises(FileError, match=r"Discovery\.save"):
        Discovery.load(tmp_path / "text")
