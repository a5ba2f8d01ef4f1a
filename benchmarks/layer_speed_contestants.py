"""What layer_speed.py measures, built on given numbers.

Needs torch; edgewise and the rivals are imported where they are built, so that the same
file serves in an interpreter that lacks the one or the other.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor, nn

from layer_speed_shapes import DEGREE, Shape

Numbers = dict[str, Tensor]
# A shape whose (B, I, O) tensors would fill the memory is not given to a library that builds them.
ROOM = 16 << 30


@dataclass
class Contestant:
    """call(x) -> y, its modules' parameters, and the context in which it runs.

    compiled: torch.compile is at work, which must have seen the shapes before memory is measured.
    """

    call: Callable[[Tensor], Tensor]
    parameters: list[Tensor]
    context: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext
    compiled: bool = False


def draw(shape: Shape, seed: int = 0) -> Numbers:
    """Inputs in [-1, 1], the range of the knots, and the gradient that comes from above.

    For a layer also its coefficients, so that every library computes the same function.
    """
    generator = torch.Generator().manual_seed(seed)
    I, O = shape.width[0], shape.width[-1]
    numbers = {
        "x": torch.rand(shape.batch, I, generator=generator) * 2 - 1,
        "g": torch.randn(shape.batch, O, generator=generator),
    }
    if shape.is_layer:
        numbers["coef"] = 0.1 * torch.randn(O, I, shape.size, generator=generator)
        numbers["scale_base"] = torch.randn(O, I, generator=generator) / math.sqrt(I)
        numbers["scale_spline"] = 0.5 + torch.rand(O, I, generator=generator)
    return numbers


# --- ours, and what it is measured against -------------------------------------------------------


def edgewise_module(shape: Shape, numbers: Numbers) -> nn.Module:
    """KANLayer for a layer, Network (float32) for more."""
    from edgewise.bases import BSpline
    from edgewise.nn import KANLayer, Network

    basis = BSpline(grid=shape.grid, degree=DEGREE)
    generator = torch.Generator().manual_seed(0)
    if not shape.is_layer:
        return Network(shape.width, basis, generator=generator, dtype=torch.float32)
    layer = KANLayer(*shape.width, basis, generator=generator, dtype=torch.float32)
    with torch.no_grad():
        for name in ("coef", "scale_base", "scale_spline"):
            getattr(layer, name).copy_(numbers[name])
    return layer


def edgewise(shape: Shape, numbers: Numbers) -> Contestant:
    module = edgewise_module(shape, numbers)
    return Contestant(module, list(module.parameters()))


def edgewise_reference(shape: Shape, numbers: Numbers) -> Contestant:
    """The same module on the plain torch path."""
    from edgewise.kernels import native

    module = edgewise_module(shape, numbers)
    return Contestant(module, list(module.parameters()), lambda: native.using("reference"))


def linear(shape: Shape, numbers: Numbers) -> Contestant:
    module = nn.Linear(*shape.width)
    return Contestant(module, list(module.parameters()))


def mlp(shape: Shape, numbers: Numbers) -> Contestant:
    """in -> h -> out with as many parameters; that of KAN-benchmarking for its task."""
    I, O = shape.width[0], shape.width[-1]
    if shape.width == (1000, 1000, 1):
        parts = (nn.Linear(I, 10 * shape.width[1]), nn.ReLU())
        module = nn.Sequential(*parts, nn.Linear(10 * shape.width[1], O), nn.Sigmoid())
    else:
        module = nn.Sequential(nn.Linear(I, shape.hidden), nn.SiLU(), nn.Linear(shape.hidden, O))
    return Contestant(module, list(module.parameters()))


# --- rivals: as their documentation says, with our numbers put in --------------------------------


def pykan(shape: Shape, numbers: Numbers) -> Contestant:
    """kan.KANLayer; for a network kan.KAN in its speed mode, without the symbolic branch."""
    import kan

    largest = max(a * b for a, b in zip(shape.width, shape.width[1:], strict=False))
    need = 10 * 4 * shape.batch * largest
    if need > ROOM:
        raise MemoryError(f"its (B, I, O) tensors need about {need / 2**30:.0f} GB")
    if not shape.is_layer:
        network = kan.KAN(
            width=list(shape.width), grid=shape.grid, k=DEGREE, seed=0, auto_save=False
        )
        network.speed()
        return Contestant(network, list(network.parameters()))
    layer = kan.KANLayer(*shape.width, num=shape.grid, k=DEGREE)
    with torch.no_grad():
        layer.coef.copy_(numbers["coef"].transpose(0, 1))
        layer.scale_base.copy_(numbers["scale_base"].T)
        layer.scale_sp.copy_(numbers["scale_spline"].T)
    return Contestant(lambda x: layer(x)[0], list(layer.parameters()))


def inkan(shape: Shape, numbers: Numbers) -> Contestant:
    """With its defaults: a compiled basis. It has no scale of the spline."""
    from inkan import KANLayer, KANNetwork

    if not shape.is_layer:
        network = KANNetwork(list(shape.width), grid_size=shape.grid, spline_order=DEGREE)
        return Contestant(network, list(network.parameters()), compiled=True)
    layer = KANLayer(*shape.width, grid_size=shape.grid, spline_order=DEGREE)
    with torch.no_grad():
        layer.spline_weight.copy_(numbers["coef"] * numbers["scale_spline"][..., None])
        layer.base_weight.copy_(numbers["scale_base"])
    return Contestant(layer, list(layer.parameters()), compiled=True)


def efficient_kan(shape: Shape, numbers: Numbers) -> Contestant:
    """efficient-kan's layer as the package ikan carries it; efficient-kan is not on PyPI."""
    # ikan's __init__ imports kernels that need triton, so the one file is loaded by itself.
    package = importlib.util.find_spec("ikan")
    file = Path(next(iter(package.submodule_search_locations))) / "KAN.py"
    spec = importlib.util.spec_from_file_location("ikan_kan", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not shape.is_layer:
        network = module.KAN(list(shape.width), grid_size=shape.grid, spline_order=DEGREE)
        return Contestant(network, list(network.parameters()))
    layer = module.KANLinear(*shape.width, grid_size=shape.grid, spline_order=DEGREE)
    with torch.no_grad():
        layer.spline_weight.copy_(numbers["coef"])
        layer.spline_scaler.copy_(numbers["scale_spline"])
        layer.base_weight.copy_(numbers["scale_base"])
    return Contestant(layer, list(layer.parameters()))


BUILDERS: dict[str, Callable[[Shape, Numbers], Contestant]] = {
    "edgewise": edgewise,
    "reference": edgewise_reference,
    "mlp": mlp,
    "linear": linear,
    "pykan": pykan,
    "inkan": inkan,
    "efficient-kan": efficient_kan,
}
# rival -> (module, distribution)
RIVALS = {
    "pykan": ("kan", "pykan"),
    "inkan": ("inkan", "inkan"),
    "efficient-kan": ("ikan", "ikan"),
}
# What a library that does not fit this torch or this shape may raise.
FOREIGN = (
    ImportError,
    RuntimeError,
    TypeError,
    ValueError,
    AttributeError,
    AssertionError,
    LookupError,
    MemoryError,
    OSError,
)


def rivals_here() -> dict[str, str]:
    """Rival -> version, of those that this interpreter has."""
    return {
        name: f"{distribution} {version(distribution)}"
        for name, (module, distribution) in RIVALS.items()
        if importlib.util.find_spec(module) is not None
    }
