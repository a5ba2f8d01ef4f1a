"""Models in files: one safetensors file that cannot run code and notices every changed byte.

The file's metadata hold, under "edgewise", JSON with the model's spec and a SHA-256 over the spec
and the tensors' names, dtypes, shapes and bytes. The format itself has no checksum.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import Tensor

from edgewise.errors import FileError, InputError
from edgewise.io.checksum import checksum
from edgewise.io.durable import read_whole, write_whole
from edgewise.io.spec import SCHEMA, Spec, dressed, from_spec, to_spec
from edgewise.nn import KANLayer, Network

_KEY = "edgewise"


def save(model: Network, path: str | PathLike[str]) -> Path:
    """Write the model to ``path``, whole or not at all, and return the path.

    Everything that predicts is saved, bit for bit: widths, bases, knots, coefficients, symbolic
    edges by the names of their functions; and the names and the seed. Training data never are, nor
    which parameters are frozen. A file of that name stays as it was until the new one is complete.

    Raises:
        InputError: the model is something a file could not give back: neither float32 nor float64,
            or with functions or bases that are not registered.
        FileError: the file cannot be written there.
    """
    if not isinstance(model, Network):
        raise InputError(f"save takes a model, not a {type(model).__name__}")
    spec = to_spec(model)
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()
    }
    try:
        _check_tensors(tensors, from_spec(spec, {spec["class"]: Network}))
    except FileError as error:
        raise InputError(f"the model cannot be saved: {error}") from None
    head = json.dumps({"sha256": _digest(spec, tensors), "spec": spec}, ensure_ascii=False)
    return write_whole(Path(path), safetensors.save(tensors, {_KEY: head}))


def load(
    path: str | PathLike[str],
    device: torch.device | str | None = None,
    *,
    kinds: Mapping[str, type[Network]] | None = None,
) -> Network:
    """The model that was saved to ``path``; it predicts the same to the bit.

    device: where it is put; None is the CPU. kinds: name -> class of the models that are more than
    a Network (``edgewise.load`` knows KAN).

    Raises FileError: there is no such file, it is not an edgewise model, it is cut off or changed,
    it comes from a newer edgewise, or it names a function, family or class that is not known.
    """
    data = read_whole(path)
    try:
        return _model(data, kinds or {}).to(device or "cpu")
    except FileError as error:
        raise FileError(f"{fspath(path)}: {error}") from error


def _model(data: bytes, kinds: Mapping[str, type[Network]]) -> Network:
    spec, digest = _head(data)
    try:
        # copies: the tensors read are views of `data`, which nothing aligns
        tensors = {name: tensor.clone() for name, tensor in safetensors.load(data).items()}
    except (SafetensorError, KeyError, ValueError, RuntimeError, TypeError) as error:
        raise FileError(f"the file is damaged or cut off ({error}); fetch it again") from error
    if _digest(spec, tensors) != digest:
        raise FileError("the contents do not fit the checksum: the file is damaged; fetch it again")
    try:
        model = from_spec(spec, kinds)
    except (InputError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise FileError(f"the description of the model makes no sense: {error}") from error
    _check_tensors(tensors, model)
    model.load_state_dict(tensors, assign=True)
    return dressed(model, spec, kinds)


def _head(data: bytes) -> tuple[Spec, str]:
    """The spec and the checksum out of the file's metadata."""
    size = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + size]) if len(data) >= 8 + size > 8 else None
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise FileError("this is not a safetensors file, or it is cut off; fetch it again")
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict) or not isinstance(metadata.get(_KEY), str):
        raise FileError(
            "this safetensors file holds no edgewise model; expected one written by edgewise.save"
        )
    try:
        head = json.loads(metadata[_KEY])
        spec, digest = head["spec"], head["sha256"]
        schema = spec["schema"]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise FileError("the description of the model is damaged; fetch the file again") from error
    if type(schema) is not int or schema < 1:
        raise FileError(f"the file's schema is {schema!r}; expected 1 to {SCHEMA}: it is damaged")
    if schema > SCHEMA:
        raise FileError(
            f"the file has schema {schema}, but this edgewise reads up to {SCHEMA}; upgrade it"
        )
    return spec, digest


def _digest(spec: Spec, tensors: Mapping[str, Tensor]) -> str:
    description = json.dumps(spec, sort_keys=True, separators=(",", ":"))
    return checksum(description, tensors, lengths=True)


def _check_tensors(tensors: Mapping[str, Tensor], model: Network) -> None:
    """Raise FileError unless these are the model's tensors in name, shape and dtype."""
    expected: dict[str, Any] = model.state_dict()
    if tensors.keys() != expected.keys():
        odd = sorted(tensors.keys() ^ expected.keys())
        raise FileError(f"tensors are missing or not expected: {', '.join(odd)[:200]}")
    for name, tensor in tensors.items():
        want = expected[name]
        if (tensor.shape, tensor.dtype) != (want.shape, want.dtype):
            raise FileError(
                f"the tensor {name} is {tensor.dtype} {tuple(tensor.shape)}; expected {want.dtype} "
                f"{tuple(want.shape)}"
            )
    for l, layer in enumerate(model.layers):
        codes = tensors[f"layers.{l}.symbolic_code"]
        count = len(cast(KANLayer, layer).primitives)
        if ((codes < 0) | (codes > count)).any():
            raise FileError(f"layer {l} has {count} functions, but an edge names another one")
