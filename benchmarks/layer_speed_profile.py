"""Where a step of edgewise spends its time, beside what it would need by counting."""

from __future__ import annotations

from statistics import median

import torch
from torch.profiler import ProfilerActivity, profile

from layer_speed_shapes import Shape, least_bytes, multiply_adds
from layer_speed_stand import Stand

STEPS = 20


def breakdown(stand: Stand, shape: Shape) -> str:
    """The operators by their own time over a few steps, and the counts of the shape."""
    stand.build("edgewise")
    stand.build("mlp")
    seconds = {
        name: median(stand.run(name, "step", 1) for _ in range(STEPS))
        for name in ("edgewise", "mlp")
    }
    made = stand.contestants["edgewise"]
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        for _ in range(STEPS):
            stand.step(made, stand.x, stand.g)
    table = seen.key_averages().table(
        sort_by="self_cpu_time_total", row_limit=15, max_name_column_width=40
    )
    return "\n".join([counts(shape, seconds), f"{STEPS} steps of edgewise:", table])


def counts(shape: Shape, seconds: dict[str, float]) -> str:
    """Multiply-adds and bytes that must be, and the rates that the measured times amount to."""
    work = multiply_adds(shape)
    ours = work["edgewise forward"] + work["edgewise backward"]
    theirs = work["mlp forward"] + work["mlp backward"]
    lines = [f"{name:<20}{count / 1e6:>10.1f} M multiply-adds" for name, count in work.items()]
    lines += [
        f"by counting, edgewise / mlp = {ours / theirs:.3f}; "
        f"measured {seconds['edgewise'] / seconds['mlp']:.3f}",
        f"edgewise {1e3 * seconds['edgewise']:.3g} ms: {ours / seconds['edgewise'] / 1e9:.1f} G "
        "multiply-adds a second",
        f"mlp      {1e3 * seconds['mlp']:.3g} ms: {theirs / seconds['mlp'] / 1e9:.1f} G "
        "multiply-adds a second",
    ]
    if shape.is_layer:
        lines.append(
            f"bytes that a step must move once: {least_bytes(shape) / 1e6:.1f} MB, "
            f"{least_bytes(shape) / seconds['edgewise'] / 1e9:.1f} GB/s at that time"
        )
    lines.append(f"threads: {torch.get_num_threads()}")
    return "\n".join(lines)
