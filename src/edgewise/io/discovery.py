"""A discovery in a file: safetensors with the rows as tensors, the rest as JSON in its metadata.

The metadata hold, under "edgewise discovery", the front and the figures, and a SHA-256 over them and
the tensors. Nothing in the file is ever run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import Tensor

from edgewise.errors import FileError, InputError
from edgewise.io.checksum import checksum
from edgewise.io.durable import read_whole, write_whole
from edgewise.problems.dataset import Samples
from edgewise.symbolic.exchange import from_list, to_list
from edgewise.symbolic.formula import Constant, Formula
from edgewise.symbolic.front import Candidate

_KEY = "edgewise discovery"
_SCHEMA = 1
_PLAIN = ("pick", "target", "seconds", "status", "relative")
_PARTS = ("x", "y", "weight")


def save_discovery(found: Mapping[str, Any], path: str | PathLike[str]) -> Path:
    """Write the fields of a Discovery to ``path``, whole or not at all, and return the path."""
    tensors = _tensors("train", found["train"])
    if found["held_out"] is not found["train"]:
        tensors |= _tensors("held_out", found["held_out"])
    content = {name: found[name] for name in _PLAIN} | {
        "schema": _SCHEMA,
        "names": list(found["names"]),
        "notes": list(found["notes"]),
        "front": [_from_candidate(candidate) for candidate in found["front"]],
    }
    head = {"sha256": _digest(content, tensors), "content": content}
    data = safetensors.save(tensors, {_KEY: json.dumps(head, ensure_ascii=False)})
    return write_whole(Path(path), data)


def load_discovery(path: str | PathLike[str]) -> dict[str, Any]:
    """The fields of the Discovery in a file; FileError where there is none, or a damaged one."""
    name = fspath(path)
    data = read_whole(path)
    content, digest = _head(name, data)
    damaged = f"{name} is damaged; fetch or make it again"
    try:
        tensors = {key: value.clone() for key, value in safetensors.load(data).items()}
        if _digest(content, tensors) != digest:
            raise FileError(f"{damaged}: its contents do not fit the checksum")
        return _fields(content, tensors)
    except (SafetensorError, InputError, KeyError, ValueError, TypeError) as error:
        raise FileError(f"{damaged}: {error}") from error


def _head(name: str, data: bytes) -> tuple[dict[str, Any], str]:
    size = int.from_bytes(data[:8], "little")
    other = f"{name} holds no discovery; expected a file written by Discovery.save"
    try:
        metadata = json.loads(data[8 : 8 + size])["__metadata__"]
        head = json.loads(metadata[_KEY])
        content, digest, schema = head["content"], head["sha256"], head["content"]["schema"]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise FileError(other) from error
    if type(schema) is not int or not 1 <= schema <= _SCHEMA:
        raise FileError(
            f"{name} has schema {schema!r}, but this edgewise reads up to {_SCHEMA}; upgrade it"
        )
    return content, digest


def _fields(content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    names, target = tuple(content["names"]), content["target"]
    train = _samples("train", tensors)
    front = tuple(_to_candidate(entry, names, target) for entry in content["front"])
    if not 0 <= content["pick"] < len(front):
        raise ValueError(f"the pick is row {content['pick']} of {len(front)}")
    return {key: content[key] for key in _PLAIN} | {
        "names": names,
        "notes": tuple(content["notes"]),
        "front": front,
        "train": train,
        "held_out": _samples("held_out", tensors) if "held_out.x" in tensors else train,
    }


def _from_candidate(candidate: Candidate) -> dict[str, Any]:
    formula = candidate.formula
    figures = (candidate.rmse, candidate.r2, candidate.train_error, candidate.error)
    return {
        "expression": to_list(formula.expression),
        "constants": [[c.value.hex(), _hex(c.error), c.text] for c in formula.constants],
        "figures": [figure.hex() for figure in figures],
        "origin": candidate.origin,
    }


def _to_candidate(entry: Mapping[str, Any], names: tuple[str, ...], target: str) -> Candidate:
    constants = tuple(
        Constant(float.fromhex(value), None if error is None else float.fromhex(error), text)
        for value, error, text in entry["constants"]
    )
    formula = Formula(from_list(entry["expression"]), names, target, constants)
    rmse, r2, train_error, error = map(float.fromhex, entry["figures"])
    return Candidate(formula, rmse, r2, train_error, error, entry["origin"])


def _hex(value: float | None) -> str | None:
    return None if value is None else value.hex()


def _tensors(part: str, samples: Samples) -> dict[str, Tensor]:
    parts = {f"{part}.{name}": getattr(samples, name) for name in _PARTS}
    return {name: value.contiguous() for name, value in parts.items() if value is not None}


def _samples(part: str, tensors: Mapping[str, Tensor]) -> Samples:
    return Samples(tensors[f"{part}.x"], tensors[f"{part}.y"], tensors.get(f"{part}.weight", None))


def _digest(content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    return checksum(json.dumps(content, sort_keys=True), tensors, lengths=False)
