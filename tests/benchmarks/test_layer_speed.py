"""The speed benchmark: it refuses what is wrong, and reports what it measured; no time is asserted."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from edgewise.bases import FAMILIES, Fourier
from edgewise.kernels import native
from edgewise.nn import KANLayer

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(module):
    return module("layer_speed")


def once(shape: dict, **times: tuple[list[int], list[float]]) -> dict:
    """A result as measured, with these rounds and seconds."""
    contestants = {
        name: {"rounds": rounds, "forward": seconds, "step": seconds, "parameters": 1}
        for name, (rounds, seconds) in times.items()
    }
    return {"shape": shape, "contestants": contestants}


def test_the_short_form_checks_times_and_writes_all(benchmark, tmp_path, capsys):
    file = tmp_path / "speed.json"
    assert benchmark.main(["--short", "--json", str(file)]) == 0
    shown = capsys.readouterr().out
    report = json.loads(file.read_text(encoding="utf-8"))
    assert report["machine"]["cpu"] and report["machine"]["threads"] == torch.get_num_threads()
    assert report["versions"]["torch"] == torch.__version__
    assert report["kernel"]["path"] == native.kernel_info().path
    assert str(Path.home()) not in file.read_text(encoding="utf-8")

    (result,) = report["shapes"]
    assert result["check"] and all(line["good"] for line in result["check"])
    assert {"edgewise", "mlp", "linear"} <= set(result["contestants"])
    for name in ("edgewise", "mlp", "linear"):
        found = result["contestants"][name]
        assert found["rounds"] == [0, 1, 2]
        assert len(found["forward"]) == len(found["step"]) == 3 and min(found["forward"]) > 0
        assert name in shown
    O, I, K = 16, 16, 8
    assert result["contestants"]["edgewise"]["parameters"] == O * I * (K + 2)
    assert result["tensor_bytes"] == {"B,I,K": 4 * 256 * I * K, "B,I,O": 4 * 256 * I * O}
    if sys.platform == "linux":
        assert result["contestants"]["edgewise"]["memory"] >= 0
    ratio = result["ratios"]["step"]["edgewise / mlp"]
    assert 0 < ratio["least"] <= ratio["median"] <= ratio["most"] < math.inf

    assert benchmark.main(["--read", str(file)]) == 0
    assert capsys.readouterr().out.strip() == shown.strip(), "a file says what the run said"
    assert benchmark.main(["--read", str(file), "--markdown"]) == 0
    assert "| 256, 16 -> 16, 5 | " in capsys.readouterr().out


def test_every_family_is_checked_and_timed(benchmark, monkeypatch, capsys):
    assert benchmark.main(["--families", "--short", "--rounds", "1"]) == 0
    shown = capsys.readouterr().out
    assert all(f"| {name} | " in shown for name in FAMILIES)

    true = Fourier.unit
    monkeypatch.setattr(
        Fourier, "unit", lambda *given: 1.001 * true(*given) if given[3] else true(*given)
    )
    assert benchmark.main(["--families", "--short", "--rounds", "1"]) == 1
    shown = capsys.readouterr().out
    assert "wrong for ['fourier']" in shown and " ms" not in shown


def slightly_off(self, x):
    y = true_forward(self, x)
    off = torch.zeros_like(y)
    off[0, 0] = 1e-5 * y.detach().abs().max()  # one value of one sample
    return y + off


def wrong_input_gradient(self, x):
    # the value is right, the slope at one sample is not
    y = true_forward(self, x)
    z = x[:1, :1]
    return y + torch.nn.functional.pad(1e-3 * (z - z.detach()), (0, y.shape[1] - 1, 0, len(x) - 1))


def lost_scale(self, x):
    # no gradient for w_s
    self.scale_spline.requires_grad_(False)
    y = true_forward(self, x)
    self.scale_spline.requires_grad_()
    return y + 0 * self.scale_spline.sum()


def not_a_number(self, x):
    return true_forward(self, x) * torch.nan


true_forward = KANLayer.forward
FAULTS = {
    slightly_off: "output",
    wrong_input_gradient: "input gradient",
    lost_scale: "scale_spline gradient",
    not_a_number: "output",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_no_speed_is_printed_for_what_is_wrong(benchmark, fault, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(KANLayer, "forward", fault)
    file = tmp_path / "speed.json"
    assert benchmark.main(["--short", "--json", str(file), "--markdown"]) == 1
    shown = capsys.readouterr().out
    assert f"{FAULTS[fault]} is off by" in shown
    assert " ms" not in shown and "goal" not in shown
    assert not file.exists()


def test_a_ratio_is_taken_within_a_round_and_judged_by_its_median(benchmark):
    from layer_speed_table import ratios

    shape = benchmark.SHAPES[0]
    # a disturbed round slows both alike; the rival was in rounds 0 and 2 only
    result = once(
        shape.to_dict(),
        edgewise=([0, 1, 2], [1.0, 100.0, 1.0]),
        mlp=([0, 1, 2], [2.0, 200.0, 4.0]),
        inkan=([0, 2], [2.0, 2.0]),
    )
    found = ratios(result, "step")
    mlp, inkan = found["edgewise / mlp"], found["inkan / edgewise"]
    assert (mlp["median"], mlp["least"], mlp["most"], mlp["rounds"]) == (0.5, 0.25, 0.5, 3)
    assert mlp["goal"] == "<= 0.55" and mlp["met"] is True
    assert (inkan["median"], inkan["rounds"]) == (2.0, 2)
    assert inkan["goal"] == ">= 2.2" and inkan["met"] is False
    assert all(ratio["goal"] is None for ratio in ratios(result, "forward").values())


def test_counting_gives_the_floors_of_the_ratio(benchmark):
    from layer_speed_shapes import multiply_adds

    for shape in benchmark.SHAPES[:6]:
        work = multiply_adds(shape)
        ours = work["edgewise forward"] + work["edgewise backward"]
        theirs = work["mlp forward"] + work["mlp backward"]
        assert ours / theirs == pytest.approx(15 / (3 * (shape.grid + 4)))
        # as many weights in the MLP as the layer has, to a hidden node
        I, O = shape.width
        assert abs(shape.hidden * (I + O) - I * O * (shape.grid + 4)) <= (I + O) / 2


def test_a_rival_that_fails_is_a_result_and_ours_is_not(benchmark):
    import layer_speed_worker as worker

    def broken(name):
        raise RuntimeError("no such operator")

    company = object.__new__(benchmark.Company)
    company.workers = {}
    plan = {}
    company._guarded(plan, broken, "inkan")
    assert plan["failed"] == "failed: RuntimeError: no such operator"
    with pytest.raises(RuntimeError, match="no such operator"):
        company._guarded({}, broken, "edgewise")

    with worker.Remote(sys.executable, 1, limit=60) as remote:
        assert remote.about()["torch"] == torch.__version__
        with pytest.raises(worker.WorkerError, match="KeyError: 'nobody'"):
            remote.build("nobody")


def test_help_tells_how_to_name_the_rivals():
    script = str(FOLDER / "layer_speed.py")
    shown = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True)
    assert shown.returncode == 0 and "--rivals PYTHON" in shown.stdout
