"""Models in files: the same to the bit, or an error that says why not."""

import json
import random
from dataclasses import dataclass
from pathlib import Path

import pytest
import sympy
import torch
from safetensors import torch as safetensors

from edgewise import interpret, problems
from edgewise.bases import FAMILIES, BSpline
from edgewise.errors import FileError, InputError
from edgewise.io import checkpoint, durable, load, save
from edgewise.io.spec import to_spec
from edgewise.model import KAN
from edgewise.nn import Network
from edgewise.symbolic import Primitive, compile_formula
from edgewise.symbolic.primitives import PRIMITIVES, primitive
from edgewise.symbolic.registry import register

GOLDEN = Path(__file__).parent / "golden"
KINDS = {"KAN": KAN}


def inputs(model, n=40, seed=0):
    generator = torch.Generator().manual_seed(seed)
    features = model.layers[0].in_features
    return (torch.rand(n, features, generator=generator, dtype=torch.float64) * 2 + 0.1).to(
        model.dtype
    )


def outputs(model, x=None):
    with torch.no_grad():
        return model(inputs(model) if x is None else x)


def plain():
    return KAN([2, 3, 1], seed=4)


def pruned():
    model = KAN([3, 4, 2], seed=1)
    return interpret.prune(model, model.trace(inputs(model)), node_th=0.1, edge_th=0.1)


def refined():
    return KAN([2, 3, 2, 1], seed=2).refine([3, 10, 7])


def on_data():
    model = KAN([2, 2, 1], grid_eps=0.3, grid_range=(-2, 3), k=2, base_fun="identity")
    model.update_grid(inputs(model, 500))
    return model


def products():
    arities = [[], [2, 3], [], []]
    return KAN([2, [1, 2], [2, 0], 1], mult_arity=arities, affine_trainable=True, seed=5)


def symbolic():
    model = KAN([2, [1, 1], 1], seed=3)
    model.layers[0].fix_symbolic(0, 1, primitive("sin"), (2.0, 0.1, 1.0, -0.5))
    model.layers[1].fix_symbolic(0, 0, primitive("x^1.37"), (1.0, 9.0, 0.3, 0.0))
    return model


def compiled():
    return compile_formula("exp(-x*y)*(x + x^2) + pi", ["x", "y"], output_names=["z"])


def single_precision():
    return KAN([2, 3, 1], dtype=torch.float32, input_names=["größe", "年"], output_names=['"y"'])


def network():
    generator = torch.Generator().manual_seed(0)
    mixed = [BSpline(grid=3, degree=1), BSpline(grid=4, degree=5, extrapolation="zero")]
    return Network([2, 2, 1], mixed, base="zero", generator=generator, dtype=torch.float64)


MODELS = (
    plain,
    pruned,
    refined,
    on_data,
    products,
    symbolic,
    compiled,
    single_precision,
    network,
)
each_model = pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)


@each_model
def test_a_model_comes_back_to_the_bit(make, tmp_path):
    model, path = make(), tmp_path / "model.safetensors"
    state = torch.random.get_rng_state()
    assert save(model, str(path)) == path
    again = load(path, kinds=KINDS)
    assert torch.equal(state, torch.random.get_rng_state())
    assert type(again) is type(model) and to_spec(again) == to_spec(model)
    assert torch.equal(outputs(again), outputs(model))
    flags = [p.requires_grad for p in model.parameters()]
    assert [p.requires_grad for p in again.parameters()] == flags
    # a loaded model is a model: it trains, it can be copied, and saving it gives the same bytes
    again.clone()(inputs(again)).sum().backward()
    other = save(again, tmp_path / "again.safetensors")
    assert other.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_of_bases_comes_back(family, tmp_path):
    model = KAN([2, 2, 1], basis=FAMILIES[family](), seed=1)
    again = load(save(model, tmp_path / "model"), kinds=KINDS)
    assert again.layers[0].basis == model.layers[0].basis
    assert torch.equal(outputs(again), outputs(model))


def test_training_data_are_not_saved(tmp_path):
    data = problems.create_dataset(lambda x: x[:, [0]], 2, train_num=30, test_num=5)
    model = KAN([2, 1], seed=0)
    model.fit(data, opt="LM", steps=1)
    before = len(save(model, tmp_path / "with").read_bytes())
    model.data = None
    assert len(save(model, tmp_path / "without").read_bytes()) == before
    again = load(tmp_path / "with", "cpu", kinds=KINDS)
    assert again.data is None and again.seed == 0


# --- what must not pass -----------------------------------------------------------------------


def test_no_changed_byte_passes_unnoticed(tmp_path):
    model, path = symbolic(), tmp_path / "model"
    data = save(model, path).read_bytes()
    expected, draw, refused = outputs(model), random.Random(0), 0
    for n in range(600):
        changed = bytearray(data)
        # the header is small beside the tensors, so half of the changes go there
        at = draw.randrange(len(data) if n % 2 else int.from_bytes(data[:8], "little") + 8)
        changed[at] ^= draw.choice([1 << draw.randrange(8), draw.randrange(1, 256)])
        path.write_bytes(changed)
        try:
            again = load(path, kinds=KINDS)
        except FileError:
            refused += 1
        else:
            assert torch.equal(outputs(again), expected), f"byte {at} changed the model"
    assert refused > 550


def test_no_part_of_a_file_passes_for_the_whole(tmp_path):
    path = tmp_path / "model"
    data = save(symbolic(), path).read_bytes()
    for size in [*range(0, 40), *range(40, len(data), 97), len(data) - 1]:
        path.write_bytes(data[:size])
        with pytest.raises(FileError, match=r"cut off|damaged"):
            load(path, kinds=KINDS)
    path.write_bytes(data + b"\0")
    with pytest.raises(FileError, match="damaged"):
        load(path, kinds=KINDS)


@dataclass
class Forged:
    """A file whose checksum fits what was changed in it, as another program could write it."""

    path: Path
    spec: dict
    tensors: dict

    def load(self):
        digest = checkpoint._digest(self.spec, self.tensors)
        head = json.dumps({"sha256": digest, "spec": self.spec})
        self.path.write_bytes(safetensors.save(self.tensors, {"edgewise": head}))
        return load(self.path, kinds=KINDS)


@pytest.fixture
def forged(tmp_path):
    model = symbolic()
    return Forged(tmp_path / "forged", to_spec(model), dict(model.state_dict()))


def test_a_forged_file_without_changes_loads(forged):
    assert torch.equal(outputs(forged.load()), outputs(symbolic()))


CHANGES = {
    "newer schema": (lambda f: f.spec.update(schema=2), "upgrade"),
    "no schema": (lambda f: f.spec.update(schema="1"), "schema"),
    "class": (lambda f: f.spec.update({"class": "os.system"}), "kinds="),
    "dtype": (lambda f: f.spec.update(dtype="float16"), "float16"),
    "width": (lambda f: f.spec.update(width=[[2, 0], [3, 1], [1, 0]]), "expected"),
    "odd width": (lambda f: f.spec.update(width="wide"), "makes no sense"),
    "names": (lambda f: f.spec.update(input_names=["x"]), "makes no sense"),
    "missing part": (lambda f: f.spec.pop("layers"), "makes no sense"),
    "family": (lambda f: f.spec["layers"][0]["basis"].update(family="tiles"), "tiles"),
    "option": (lambda f: f.spec["layers"][0]["basis"].update(degree=99), "makes no sense"),
    "huge grid": (lambda f: f.spec["layers"][0]["basis"].update(grid=10**7), "expected"),
    "base": (lambda f: f.spec["layers"][0].update(base="relu"), "relu"),
    "function": (lambda f: f.spec["functions"].update(J7=[0.0] * 7), "add_symbolic"),
    "values": (lambda f: f.spec["functions"].update(sin=[0.0] * 7), "other values"),
    "code": (lambda f: f.tensors["layers.0.symbolic_code"].fill_(5), "another one"),
    "negative": (lambda f: f.tensors["layers.0.symbolic_code"].fill_(-1), "another one"),
    "lost tensor": (lambda f: f.tensors.pop("layers.0.coef"), "layers.0.coef"),
    "more tensors": (lambda f: f.tensors.update(extra=torch.ones(2)), "extra"),
    "shape": (lambda f: f.tensors.update({"layers.0.coef": torch.ones(1, 2, 3)}), "expected"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_does_not_fit_is_named(forged, change):
    apply, message = CHANGES[change]
    apply(forged)
    with pytest.raises(FileError, match=message):
        forged.load()


def test_files_of_others_are_refused(tmp_path):
    path = tmp_path / "file"
    with pytest.raises(FileError, match="check the path"):
        load(path)
    with pytest.raises(FileError, match="cannot be read"):
        load(tmp_path)
    path.write_bytes(b"\x80\x04K*." * 9)
    with pytest.raises(FileError, match="not a safetensors file"):
        load(path)
    path.write_bytes(safetensors.save({"weight": torch.ones(3)}))
    with pytest.raises(FileError, match="no edgewise model"):
        load(path)
    save(plain(), path)
    with pytest.raises(FileError, match=r"'KAN'.*edgewise\.load"):
        load(path)


def test_a_users_function_is_found_by_name_and_by_its_values(tmp_path):
    def record(torch_function, slope):
        u = sympy.Function("mine")
        return Primitive("mine", torch_function, slope, u, torch.isfinite, 3)

    model = KAN([1, 1])
    square = record(lambda u: u * u, lambda u: 2 * u)
    model.layers[0].fix_symbolic(0, 0, square, (1.0, 0.0, 1.0, 0.0))
    with pytest.raises(InputError, match="not registered"):
        save(model, tmp_path / "model")
    try:
        register(square)
        path = save(model, tmp_path / "model")
        assert torch.equal(outputs(load(path, kinds=KINDS)), outputs(model))
        register(record(lambda u: u * u * u, lambda u: 3 * u * u), replace=True)
        with pytest.raises(FileError, match="other values"):
            load(path, kinds=KINDS)
        with pytest.raises(InputError, match="other values"):
            save(model, path)
    finally:
        PRIMITIVES.pop("mine", None)
    with pytest.raises(FileError, match="add_symbolic"):
        load(path, kinds=KINDS)


def test_what_a_file_could_not_give_back_is_not_saved(tmp_path):
    with pytest.raises(InputError, match="bfloat16"):
        save(plain().to(torch.bfloat16), tmp_path / "model")
    with pytest.raises(InputError, match="not a dict"):
        save({}, tmp_path / "model")
    model = plain()
    model.register_buffer("extra", torch.ones(1))
    with pytest.raises(InputError, match="extra"):
        save(model, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


# --- writing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch, step, error):
    path = save(plain(), tmp_path / "model")
    before = path.read_bytes()

    def fail(*_):
        raise error

    monkeypatch.setattr(durable.os, step, fail)
    wanted = FileError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(wanted):
        save(symbolic(), path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileError, match="No such file or directory"):
        save(plain(), tmp_path / "no" / "model")


def test_a_link_stays_a_link(tmp_path):
    target = save(plain(), tmp_path / "model")
    link = tmp_path / "link"
    link.symlink_to(target)
    save(symbolic(), link)
    assert link.is_symlink()
    assert torch.equal(outputs(load(target, kinds=KINDS)), outputs(symbolic()))


# --- files of every schema there was ----------------------------------------------------------


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.safetensors")), ids=lambda path: path.stem)
def test_old_files_predict_as_they_did(path):
    """Written once with their schema and never again: x and y stand in the JSON beside them."""
    model = load(path, kinds=KINDS)
    stored = json.loads(path.with_suffix(".json").read_text())
    x, y = (torch.tensor(stored[key], dtype=torch.float64) for key in "xy")
    torch.testing.assert_close(outputs(model, x), y, rtol=1e-12, atol=1e-14)
    assert model.input_names == tuple(stored["input_names"])


def test_every_schema_has_a_golden_file():
    schemas = {f"schema{n}" for n in range(1, checkpoint.SCHEMA + 1)}
    assert {path.stem for path in GOLDEN.glob("*.safetensors")} == schemas
