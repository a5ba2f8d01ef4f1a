"""The table of docs/from_pykan.md is true: every call runs, and does what its columns say."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
import torch
from documents import ROOT

import edgewise
from edgewise import KAN, compile_formula, create_dataset, load, save
from edgewise.symbolic import PRIMITIVES, add_symbolic, augment

KINDS = ("in place", "new", "reads", "function")
ABSENT = ("later", "not needed")
HEADER = "| pykan | ours | kind | returns | differences |"


@dataclass(frozen=True)
class Row:
    """One line of the table; ours is the code, or one of ABSENT."""

    pykan: tuple[str, ...]
    ours: str
    kind: str
    returns: str


def rows() -> list[Row]:
    lines = (ROOT / "docs/from_pykan.md").read_text(encoding="utf-8").splitlines()
    found = []
    for line in lines[lines.index(HEADER) + 2 :]:
        if not line.startswith("|"):
            break
        names, ours, kind, returns, _ = (cell.strip() for cell in line.strip("|").split("|"))
        found.append(Row(tuple(re.findall(r"`([^`]+)`", names)), ours.strip("`"), kind, returns))
    return found


PRESENT = [row for row in rows() if row.ours not in ABSENT]
MISSING = [row for row in rows() if row.ours in ABSENT]


def f(x):
    return torch.sin(3 * x[:, [0]]) + x[:, [1]] ** 2


@pytest.fixture(scope="module")
def trained():
    """A fitted model on which every row of the table can be tried: one edge is a symbol."""
    data = create_dataset(f, n_var=2, train_num=60, test_num=60)
    model = KAN([2, 2, 1], input_names=["p", "q"])
    model.fix_symbolic(1, 1, 0, "x", affine=(1.0, 0.0, 1.0, 0.0))
    model.fit(data, "LM", steps=5)
    return model, data


@pytest.fixture
def scene(trained, tmp_path, monkeypatch):
    """The names that the table uses."""
    monkeypatch.chdir(tmp_path)
    known = dict(PRIMITIVES)
    model, data = trained
    symbolic = compile_formula("exp(x1) + 0.123456*x2^2")
    save(symbolic, "model.safetensors")
    yield {
        "KAN": KAN, "add_symbolic": add_symbolic, "augment": augment, "classes": KAN([2, 3]),
        "compile_formula": compile_formula,
        "create_dataset": create_dataset, "data": data, "edgewise": edgewise, "f": f, "load": load,
        "model": model.clone(), "save": save, "symbolic": symbolic, "torch": torch,
        "x": data["train_input"],
    }  # fmt: skip
    PRIMITIVES.clear()
    PRIMITIVES.update(known)


def state(model):
    """All that a model predicts by, as bytes."""
    return {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()}


def places(model):
    """Where the tensors lie in memory."""
    return {t.data_ptr() for t in model.state_dict().values() if t.numel()}


def test_the_table_is_complete():
    assert len(PRESENT) > 25 and MISSING
    assert all(row.kind in KINDS and row.returns for row in PRESENT)
    assert all(row.pykan for row in rows())
    verbs = [name for name, value in vars(KAN).items() if callable(value) and name[0] != "_"]
    table = " ".join(row.ours for row in PRESENT)
    assert [name for name in verbs if f".{name}(" not in table] == []


@pytest.mark.slow
@pytest.mark.parametrize("row", PRESENT, ids=lambda row: f"{row.pykan[0]}: {row.ours}")
def test_a_call_does_what_its_columns_say(row, scene):
    called_on = scene.get(row.ours.partition(".")[0])
    model = called_on if isinstance(called_on, KAN) else scene["model"]
    before, torch_state = state(model), torch.random.get_rng_state()
    result = eval(row.ours, scene)  # noqa: S307  (our own page)
    names = [kind.__name__ for kind in type(result).__mro__]
    assert row.returns in ("None" if result is None else names)
    assert torch.equal(torch.random.get_rng_state(), torch_state)
    if row.kind == "in place":
        assert state(model) != before
    else:
        assert state(model) == before
    if row.kind == "new":
        assert type(result) is KAN and not places(result) & places(model)
        assert result.data.train.x.shape[1] == result.width[0][0]  # carries the data it fits


@pytest.mark.parametrize("row", MISSING, ids=lambda row: row.pykan[0])
def test_what_is_called_missing_is_missing(row):
    assert [name for name in row.pykan if hasattr(KAN, name)] == []
