"""Networks that the tests of the pictures share."""

import io
import subprocess
import sys
from typing import Any

import torch

from edgewise.nn import Network
from edgewise.symbolic.primitives import PRIMITIVES

WIDTHS: dict[str, tuple[list, Any]] = {
    "one edge": ([1, 1], 2),
    "small": ([2, 5, 1], 2),
    "one layer, three outputs": ([2, 3], 2),
    "two rows of boxes": ([4, 13, 1], 2),
    "many inputs": ([60, 2, 1], 2),
    "products": ([3, [2, 2], 1], [[], [2, 3], []]),
    "products only": ([4, [0, 3], [2, 1], 2], [[], [2, 2, 4], [3], []]),
}


def network(width: Any, mult_arity: Any = 2, **options: Any) -> Network:
    return Network(
        width,
        mult_arity=mult_arity,
        noise=0.3,
        dtype=torch.float64,
        generator=torch.Generator().manual_seed(0),
        **options,
    )


def inputs(model: Network, rows: int = 50) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    size = (rows, model.layers[0].in_features)
    return 2 * torch.rand(size, generator=generator, dtype=torch.float64) - 1


def fix(
    model: Network, l: int, i: int, j: int, name: str, affine: tuple = (1.0, 0, 1.0, 0)
) -> None:
    model.layers[l].fix_symbolic(j, i, PRIMITIVES[name], affine)


def curves(figure: Any) -> dict[str, Any]:
    """The line of each edge's curve, by its name "edge-l-i-j"."""
    lines = figure.axes[0].get_lines()
    return {line.get_gid(): line for line in lines if str(line.get_gid()).startswith("edge-")}


def rendered(figure: Any, kind: str) -> bytes:
    memory = io.BytesIO()
    figure.savefig(memory, format=kind)
    return memory.getvalue()


def in_fresh_python(code: str) -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
