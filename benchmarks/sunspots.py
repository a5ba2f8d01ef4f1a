"""Does a temporal KAN predict a real series as well as an LSTM of the same size?

    python benchmarks/sunspots.py [--series sunspots elnino nile] [--seeds 5] [--ahead 1]
    python benchmarks/sunspots.py --short

The series come with statsmodels (the dev extra). The last quarter is held out; a model reads the last
12 values, in standard deviations of the training years, and gives by how much the next one, or each of
the next --ahead, will differ from the last. All are trained alike: Adam on all rows, two rates tried
with three seeds each on the last two fifths of the training years; the best rate and its number of
updates then train on all of them, once a seed. Printed: parameters, RMSE a seed, the median and its
ratio to nn.LSTM's, beside persistence (the last value again) and a linear autoregression on the same
window.
"""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import mean, median

import torch
from torch import Tensor, nn

from edgewise.nn import TKAN, TKAT

WINDOW = 12
RATES = (0.005, 0.01)
TUNING_SEEDS = (100, 101, 102)


@dataclass(frozen=True)
class Rows:
    """Windows x (B, WINDOW, 1) and what follows them, y (B, ahead), in standard deviations."""

    x: Tensor
    y: Tensor


@dataclass(frozen=True)
class Task:
    """A series cut in three: what is fitted while tuning, its validation, and what is held out."""

    name: str
    early: Rows
    validation: Rows
    train: Rows
    test: Rows
    unit: float  # standard deviation of the training values


@dataclass(frozen=True)
class Outcome:
    parameters: int
    rate: float
    updates: int
    rmse: tuple[float, ...]
    seconds: float


def values(name: str) -> Tensor:
    """A series of statsmodels in time's order: yearly sunspots and Nile, monthly El Nino."""
    table = importlib.import_module(f"statsmodels.datasets.{name}").load_pandas().data
    columns = table.iloc[:, 1:] if len(table.columns) > 1 else table
    return torch.tensor(columns.interpolate().to_numpy().ravel(), dtype=torch.float64)


def task(name: str, ahead: int) -> Task:
    series = values(name)
    n = len(series)
    held = n - n // 4
    checked = held - 2 * held // 5
    centre, unit = series[:held].mean(), series[:held].std()
    scaled = ((series - centre) / unit).float()

    def rows(first: int, last: int) -> Rows:
        """Targets that begin at first .. and end before last."""
        starts = range(max(first, WINDOW), last - ahead + 1)
        x = torch.stack([scaled[t - WINDOW : t] for t in starts])[..., None]
        return Rows(x, torch.stack([scaled[t : t + ahead] for t in starts]))

    parts = rows(0, checked), rows(checked, held), rows(0, held), rows(held, n)
    return Task(name, *parts, float(unit))


class Forecast(nn.Module):
    """The last value, and a linear map of a recurrent layer's last output to the changes ahead."""

    def __init__(
        self, kind: type[nn.Module], hidden: int, ahead: int, seed: int, **options: object
    ) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.layer = kind(1, hidden, batch_first=True, **options)
            self.head = nn.Linear(hidden, ahead)

    def forward(self, x: Tensor) -> Tensor:
        return x[:, -1] + self.head(self.layer(x)[0][:, -1])


class Ahead(nn.Module):
    """The last value, and the changes ahead by a temporal KAN transformer of the same size."""

    def __init__(self, ahead: int, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.model = TKAT(1, ahead, hidden_size=4, nhead=2, inner_size=1)

    def forward(self, x: Tensor) -> Tensor:
        return x[:, -1] + self.model(x)


# (ahead, seed) -> model, with widths for about as many numbers
MODELS: dict[str, Callable[[int, int], nn.Module]] = {
    "nn.LSTM": partial(Forecast, nn.LSTM, 10),
    "nn.GRU": partial(Forecast, nn.GRU, 12),
    "TKAN": partial(Forecast, TKAN, 10, inner_size=3),
    "TKAT": Ahead,
}


def rmse(model: nn.Module, rows: Rows) -> float:
    with torch.no_grad():
        return float((model(rows.x) - rows.y).square().mean().sqrt())


def train(
    model: nn.Module, rows: Rows, rate: float, updates: int, watch: Rows | None = None
) -> list[float]:
    """Adam on the mean square of all rows, in place; the RMSE of ``watch`` each tenth update."""
    adam = torch.optim.Adam(model.parameters(), lr=rate)
    seen = []
    for update in range(1, updates + 1):
        adam.zero_grad()
        (model(rows.x) - rows.y).square().mean().backward()
        adam.step()
        if watch is not None and update % 10 == 0:
            seen.append(rmse(model, watch))
    return seen


def trained_numbers(model: nn.Module, rows: Rows) -> int:
    """Parameters that the loss depends on."""
    model(rows.x[:1]).sum().backward()
    count = sum(p.numel() for p in model.parameters() if p.grad is not None)
    model.zero_grad()
    return count


def outcome(name: str, problem: Task, ahead: int, seeds: int, updates: int) -> Outcome:
    """Tune on the training years, then train on all of them once a seed."""
    make, start = MODELS[name], time.perf_counter()
    best = (float("inf"), RATES[0], updates)
    for rate in RATES:
        curves = [
            train(make(ahead, seed), problem.early, rate, updates, problem.validation)
            for seed in TUNING_SEEDS
        ]
        for n, errors in enumerate(zip(*curves, strict=True), start=1):
            best = min(best, (mean(errors), rate, 10 * n))
    _, rate, chosen = best
    held = []
    for seed in range(seeds):
        model = make(ahead, seed)
        train(model, problem.train, rate, chosen)
        held.append(problem.unit * rmse(model, problem.test))
    count = trained_numbers(make(ahead, 0), problem.train)
    return Outcome(count, rate, chosen, tuple(held), time.perf_counter() - start)


def references(problem: Task, ahead: int) -> dict[str, float]:
    """RMSE of the last value again, and of least squares on the window."""
    train_x, test_x = problem.train.x[..., 0].double(), problem.test.x[..., 0].double()
    ones = [torch.ones(len(x), 1, dtype=x.dtype) for x in (train_x, test_x)]
    A, T = torch.cat([train_x, ones[0]], 1), torch.cat([test_x, ones[1]], 1)
    weights = torch.linalg.lstsq(A, problem.train.y.double()).solution
    guesses = {"persistence": test_x[:, -1:].expand(-1, ahead), "autoregression": T @ weights}
    return {
        name: problem.unit * float((g - problem.test.y).square().mean().sqrt())
        for name, g in guesses.items()
    }


def report(problem: Task, ahead: int, seeds: int, updates: int) -> dict[str, float]:
    """Print a series' table; the medians and references by name."""
    found = references(problem, ahead)
    print(
        f"\n{problem.name}: {len(problem.train.y)} windows to train on, {len(problem.test.y)} held "
        f"out, {ahead} ahead"
    )
    print("  ".join(f"{name} {error:.3f}" for name, error in found.items()))
    print(f"{'model':<10}{'numbers':>8}{'rate':>7}{'updates':>8}{'median':>9}{'s':>7}  RMSE a seed")
    for name in MODELS:
        done = outcome(name, problem, ahead, seeds, updates)
        found[name] = median(done.rmse)
        each = " ".join(f"{error:.3f}" for error in done.rmse)
        print(
            f"{name:<10}{done.parameters:>8}{done.rate:>7}{done.updates:>8}{found[name]:>9.3f}"
            f"{done.seconds:>7.0f}  {each}",
            flush=True,
        )
    print(
        f"TKAN / nn.LSTM {found['TKAN'] / found['nn.LSTM']:.3f}   "
        f"TKAN / persistence {found['TKAN'] / found['persistence']:.3f}"
    )
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", nargs="+", default=["sunspots", "elnino"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--ahead", type=int, default=1)
    parser.add_argument("--updates", type=int, default=200, help="the most that tuning tries")
    parser.add_argument("--short", action="store_true", help="sunspots, one seed, fewer updates")
    asked = parser.parse_args(arguments)
    if asked.short:
        asked.series, asked.seeds, asked.updates = ["sunspots"], 1, 40
    torch.set_num_threads(1)
    worst = 0.0
    for name in asked.series:
        found = report(task(name, asked.ahead), asked.ahead, asked.seeds, asked.updates)
        worst = max(worst, found["TKAN"] / found["persistence"])
    return 0 if worst < 1.0 or asked.short else 1


if __name__ == "__main__":
    raise SystemExit(main())
