"""What the options of `edgewise discover` hold: lists, units, formulas to begin with."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from edgewise.errors import InputError


def settings(options: dict) -> dict[str, str]:
    """What a report says about how the search was asked."""
    said = {
        "seed": str(options["seed"]),
        "time limit": f"{options['time_limit']:g} s",
        "jobs": str(options["jobs"]),
        "primitives": ", ".join(options["lib"] or ()) or "all",
    }
    asked = {
        "stop at": options["stop_at"] and f"{options['stop_at']:g}",
        "forbidden": ", ".join(options["forbid"] or ()),
        "template": options["template"],
        "units": ", ".join(f"{name}: {unit}" for name, unit in (options["units"] or {}).items()),
    }
    return said | {name: text for name, text in asked.items() if text}


def start_from(value: str) -> Any:
    """A file that --save wrote, or a formula."""
    from edgewise.discovery import Discovery

    return Discovery.load(value) if Path(value).is_file() else value


def unit_of(value: str) -> tuple[str, str]:
    """("v", "m/s") of "v=m/s"."""
    name, equals, unit = value.partition("=")
    if not equals or not name.strip():
        raise InputError(f"--unit {value!r} is not NAME=UNIT, such as v=m/s")
    return name.strip(), unit.strip()


def split(values: list[str] | None) -> list[str] | None:
    """Names from comma lists; a name that holds a comma stands in double quotes."""
    if not values:
        return None
    rows = csv.reader(values, skipinitialspace=True)
    return [name.strip() for row in rows for name in row if name.strip()]
