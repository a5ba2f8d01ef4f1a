"""The worked examples of CONTRIBUTING.md keep the laws that the library's own members keep."""

from __future__ import annotations

import subprocess
import sys

import pytest
from documents import ROOT, blocks


def examples(heading: str) -> list[str]:
    """The Python blocks below a heading of CONTRIBUTING.md."""
    page = ROOT / "CONTRIBUTING.md"
    lines = page.read_text(encoding="utf-8").splitlines()
    start = lines.index(f"## {heading}") + 1
    after = [n for n, line in enumerate(lines, 1) if line.startswith("## ") and n > start]
    stop = after[0] if after else len(lines) + 1
    return [b.text for b in blocks(page) if b.info == "python" and start < b.line < stop]


LAWS = {
    # The example of a user's primitive prints, differentiates and predicts as one function.
    "A primitive": """
record = primitive("J0")
u = torch.linspace(-5, 5, 50, dtype=torch.float64, requires_grad=True)
(slope,) = torch.autograd.grad(record.torch(u).sum(), u)
torch.testing.assert_close(slope, record.derivative(u.detach()))
assert record.sympy(sympy.Symbol("t")) == sympy.besselj(0, sympy.Symbol("t"))
formula = model.formula()
predicted = torch.from_numpy(formula.predict(x.numpy()))[:, None]
torch.testing.assert_close(predicted, model(x).detach(), rtol=1e-9, atol=1e-9)
""",
    # The example of a basis: derivatives, refinement and adaptation are those of a family.
    "A basis": """
basis = Exponentials(6)
tensors = basis.adapt(torch.tensor([[0.0], [3.0]], dtype=torch.float64),
                      basis.tensors(1, dtype=torch.float64))
u = torch.linspace(0, 3, 20, dtype=torch.float64)[:, None].requires_grad_()
for order in (1, 2, 3):
    (slope,) = torch.autograd.grad(basis.features(u, tensors, order - 1).sum(), u)
    expected = basis.features(u, tensors, order).sum(-1)
    torch.testing.assert_close(slope, expected.detach())
from edgewise.bases import curves, moved
coef = torch.randn(1, 1, basis.size, dtype=torch.float64,
                   generator=torch.Generator().manual_seed(0))
finer = basis.resized(11)
new = basis.refined(tensors, finer)
after = curves(finer.features(u, new), moved(basis, tensors, coef, finer, new))
torch.testing.assert_close(after, curves(basis.features(u, tensors), coef))
""",
    # The example of a kernel holds the laws itself.
    "A kernel": "",
}


@pytest.mark.slow
@pytest.mark.parametrize("heading", LAWS)
def test_worked_examples_keep_the_laws(heading, tmp_path):
    """In a process of its own: a primitive stays registered for good."""
    first = "" if heading == "A primitive" else "import torch\nfrom edgewise import KAN\n"
    source = tmp_path / "example.py"
    source.write_text(first + "\n".join(examples(heading)) + LAWS[heading], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(source)], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
