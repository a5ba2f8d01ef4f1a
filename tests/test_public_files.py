"""The public names that make models from formulas and bring them to files and back."""

import torch

import edgewise


def test_a_formula_becomes_a_model_and_comes_back_from_a_file(tmp_path):
    model = edgewise.compile_formula("exp(sin(pi*x1) + x2^2)")
    assert isinstance(model, edgewise.KAN) and model.width == [(2, 0), (1, 0), (1, 0)]
    again = edgewise.load(edgewise.save(model, tmp_path / "model.safetensors"), "cpu")
    assert isinstance(again, edgewise.KAN)
    x = torch.rand(9, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.equal(again(x), model(x))
    assert str(again.symbolic_formula()) == "exp(x2**2 + sin(pi*x1))"
