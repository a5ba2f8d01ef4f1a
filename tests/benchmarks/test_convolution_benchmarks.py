"""The benchmarks of convolutions in short: digits are read, and no time is told of what is wrong."""

import pytest
import torch


@pytest.mark.slow
def test_digits_are_told_apart(module, capsys):
    digits = module("digits")
    settings = digits.Settings(5e-3, 1.0, epochs=12)
    state = torch.get_rng_state()
    found = digits.run("kan", (5, 8, 16), 0, settings, validate=False)
    assert found.accuracy > 0.95
    assert torch.equal(torch.get_rng_state(), state)
    assert digits.main(["--short", "--epochs", "1", "--sizes", "2,3,4"]) == 0
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines() if "| " in line]
    kan, cnn = (int(row[2].replace(",", "")) for row in rows[-2:])
    assert 0.7 < kan / cnn < 1.4


def test_images_move_by_a_pixel_and_rows_are_kept_apart(module):
    digits = module("digits")
    train, test = digits.split(0, validate=False)
    again, held = digits.split(0, validate=True)
    assert len(train.x) + len(test.x) == 1797 and len(again.x) + len(held.x) == len(train.x)
    seen = {image.numpy().tobytes() for image in train.x}
    assert all(image.numpy().tobytes() in seen for image in torch.cat([again.x, held.x]))
    x = torch.arange(64.0).view(1, 1, 8, 8).repeat(200, 1, 1, 1)
    moved = digits.shifted(x, torch.Generator().manual_seed(0))
    centres = moved[:, 0, 4, 4] - x[0, 0, 4, 4]
    assert set(centres.int().tolist()) == {i + j for i in (-8, 0, 8) for j in (-1, 0, 1)}


def test_a_wrong_convolution_has_no_time(module, monkeypatch, capsys):
    conv_speed = module("conv_speed")
    assert conv_speed.main(["--short"]) == 0
    assert capsys.readouterr().out.count("|") > 14
    right = conv_speed.by_definition
    monkeypatch.setattr(conv_speed, "by_definition", lambda *given: right(*given) * 1.001)
    with pytest.raises(SystemExit, match="no time is printed"):
        conv_speed.main(["--short"])
