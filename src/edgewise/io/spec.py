"""A network as a JSON object, without its numbers: everything that is needed to build it empty."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import torch

from edgewise import bases
from edgewise.errors import FileError, InputError
from edgewise.kernels.residual import RESIDUALS
from edgewise.nn import KANLayer, Network
from edgewise.nn.kinds import as_kind
from edgewise.symbolic.primitives import Primitive, primitive

SCHEMA = 1
DTYPES = {"float32": torch.float32, "float64": torch.float64}
# A function is known by its name; its values here tell whether the name still means the same.
_PROBES = (-2.5, -1.3, -0.4, 0.2, 0.7, 1.6, 3.1)

Spec = dict[str, Any]


def to_spec(model: Network) -> Spec:
    """What the network is made of: classes, widths, bases, names of functions, no tensors.

    ::

        schema, class                     1, "KAN"
        width, mult_arity                 [[n_sum, n_mult], ...], [[factors, ...], ...] a level
        layers                            [{basis: {...}, base: "silu", primitives: ["sin", ...]}]
        functions                         {"sin": its values at seven points, null where not real}
        input_names, output_names         [...] or null
        dtype, seed, affine_trainable     "float64", 0 or null, false

    Raises InputError for what a file could not give back: another dtype, a family or a function
    that is not registered.
    """
    dtypes = {dtype: name for name, dtype in DTYPES.items()}
    if model.dtype not in dtypes:
        raise InputError(
            f"the model's dtype is {model.dtype}; files hold {' and '.join(DTYPES)}: "
            "convert it with model.float() or model.double()"
        )
    layers = [cast(KANLayer, layer) for layer in model.layers]
    functions = {p.name: _checked_values(cast(Primitive, p)) for l in layers for p in l.primitives}
    return {
        "schema": SCHEMA,
        "class": type(model).__name__,
        "width": [list(pair) for pair in model.width],
        "mult_arity": [list(arities) for arities in model.mult_arity],
        "layers": [_layer_spec(layer) for layer in layers],
        "functions": functions,
        "input_names": _listed(model.input_names),
        "output_names": _listed(model.output_names),
        "dtype": dtypes[model.dtype],
        "seed": getattr(model, "seed", None),
        "affine_trainable": any(p.requires_grad for node in model.nodes for p in node.parameters()),
    }


def from_spec(spec: Spec, kinds: Mapping[str, type[Network]]) -> Network:
    """The network of a spec, on the device "meta": shapes and dtypes, but no numbers.

    kinds: class name -> class (see ``nn.kinds.as_kind``); "Network" is always known.

    Raises FileError: the spec names a class, family or function that is not known here, a function
    by that name has other values, or the spec makes no sense.
    """
    if spec["class"] not in {"Network", *kinds}:
        raise FileError(
            f"the file holds a {str(spec['class'])[:60]!r}; known are "
            f"{', '.join(sorted({'Network', *kinds}))}: load it with edgewise.load, or pass "
            "kinds={name: class} for a class of your own"
        )
    if spec["dtype"] not in DTYPES:
        raise FileError(f"the file's dtype is {spec['dtype']!r}; known are {', '.join(DTYPES)}")
    functions = {name: _known(name, values) for name, values in spec["functions"].items()}
    model = Network(
        spec["width"],
        [_basis(entry["basis"]) for entry in spec["layers"]],
        mult_arity=spec["mult_arity"],
        affine_trainable=bool(spec["affine_trainable"]),
        input_names=spec["input_names"],
        output_names=spec["output_names"],
        dtype=DTYPES[spec["dtype"]],
        device="meta",
    )
    for layer, entry in zip(model.layers, spec["layers"], strict=True):
        if entry["base"] not in RESIDUALS:
            raise FileError(
                f"the file's base function {entry['base']!r} is not known; known are "
                f"{', '.join(RESIDUALS)}: it may come from a newer edgewise"
            )
        cast(KANLayer, layer).base = entry["base"]
        cast(KANLayer, layer).primitives = tuple(functions[name] for name in entry["primitives"])
    return model


def dressed(network: Network, spec: Spec, kinds: Mapping[str, type[Network]]) -> Network:
    """The network, with its numbers, as the class that the spec names."""
    model = as_kind(network, kinds.get(spec["class"], Network))
    if spec["seed"] is not None:
        model.seed = spec["seed"]  # type: ignore[assignment]
    return model


def _layer_spec(layer: KANLayer) -> Spec:
    if layer.basis.family not in bases.FAMILIES:
        raise InputError(
            f"the basis {layer.basis} is of the family {layer.basis.family!r}, which no file can "
            "name; add its class to edgewise.bases.FAMILIES first"
        )
    return {
        "basis": layer.basis.to_dict(),
        "base": layer.base,
        "primitives": [function.name for function in layer.primitives],
    }


def _listed(names: tuple[str, ...] | None) -> list[str] | None:
    return None if names is None else list(names)


def _basis(entry: Spec) -> bases.Basis:
    if entry.get("family") not in bases.FAMILIES:
        raise FileError(
            f"the file's basis family {entry.get('family')!r} is not known; known are "
            f"{', '.join(bases.FAMILIES)}: it may come from a newer edgewise"
        )
    return bases.from_dict(entry)


def _values(function: Primitive) -> list[float | None]:
    """The function at the probes; None where it is not finite."""
    with torch.no_grad():
        values = function.torch(torch.tensor(_PROBES, dtype=torch.float64)).tolist()
    return [value if math.isfinite(value) else None for value in values]


def _checked_values(function: Primitive) -> list[float | None]:
    """The values to store, after making sure that the name will be found again."""
    values = _values(function)
    try:
        _known(function.name, values)
    except FileError as error:
        raise InputError(f"what is saved now could not be loaded: {error}") from None
    return values


def _known(name: str, values: list[float | None]) -> Primitive:
    """The registered function of that name, if it has these values."""
    try:
        function = primitive(name)
    except InputError:
        raise FileError(
            f"the function {name[:60]!r} on the model's edges is not registered; register it with "
            "edgewise.symbolic.register or add_symbolic before loading"
        ) from None
    for ours, theirs in zip(_values(function), values, strict=True):
        known = ours is not None and theirs is not None
        if (ours is None) != (theirs is None) or (
            known and not math.isclose(cast(float, ours), cast(float, theirs), rel_tol=1e-9)
        ):
            raise FileError(
                f"the function registered as {name[:60]!r} has other values than the one on the "
                "model's edges; register that one under the name (replace=True), or rename it"
            )
    return function
