"""KANs of every family beside MLPs: at equal parameters, and at equal multiply-adds.

    python benchmarks/kan_vs_mlp.py                    # goes on where an earlier start ended
    python benchmarks/kan_vs_mlp.py --table [--markdown | --sizes]
    python benchmarks/kan_vs_mlp.py --tasks iris,exp(sin) --contestants bspline,SiLU --budgets products
    python benchmarks/kan_vs_mlp.py --short

Networks: [n, h, o] of every family of edgewise.bases, grid 5, float32; MLPs of one hidden layer with
ReLU, SiLU, or learnt splines on the neurons, and of two with SiLU. For each task there are two budgets,
"parameters" (trained numbers) and "products" (multiply-adds of the forward pass a row), each what the
contestant that needs most takes with 20 hidden nodes; every other is as wide as fits. Multiply-adds: an
edge of a spline counts its degree + 1 products, of another family K, each one more for the residual;
the functions of an input are counted once an input, by their recurrences, an exponential, a tanh, a
sine or a quotient as 10; comparison_models.py has the numbers.

Tuning: four learning rates, judged on a quarter of the training rows that is held back: all after a
quarter of the steps, the better two after half and all of them, too. The best rate and stop are then
trained with every seed on all training rows and tested on the 30 % held out.
Alike for all: Adam, its rate falling as a cosine, batches of 128, standardised inputs and targets. The
ranges of curves follow the training inputs at the start and four times in the first half.

A line of results/kan_vs_mlp.jsonl is a contestant on a task; what is there is not repeated unless
--fresh. Errors of formulas, diabetes, friedman1 and the sequence: root of the mean square, in standard
deviations of the training targets; of the others, the accuracy. Seconds are the processor's.
"""

from __future__ import annotations

import argparse
import sys
from itertools import product
from pathlib import Path

import torch

from comparison_fit import Plan, measured
from comparison_models import BUDGETS, contestants
from comparison_table import markdown, shown, sizes, table, told
from comparison_tasks import SOURCES, task
from kept import add, read

RESULTS = Path(__file__).parent / "results" / "kan_vs_mlp.jsonl"
# What makes two runs the same one.
KEY = ("task", "contestant", "budget", "steps", "batch", "seeds")


def main(arguments: list[str] | None = None) -> int:
    given = parsed(arguments)
    torch.set_num_threads(1)
    kept = {} if given.fresh else read(given.results, KEY)
    plan = Plan(given.steps, given.batch, given.seeds)
    runs = []
    for budget, name in product(given.budgets, given.tasks):
        asked = [
            (name, each, budget, plan.steps, plan.batch, plan.seeds) for each in given.contestants
        ]
        rows = None
        for key in asked:
            if key not in kept and not given.table:
                rows = rows or task(name)
                kept[key] = measured(contestants()[key[1]], rows, budget, plan)
                add(given.results, kept[key])
                print(told(kept[key]), file=sys.stderr, flush=True)
        runs += [kept[key] for key in asked if key in kept]
    print(sizes(runs) if given.sizes else markdown(runs) if given.markdown else shown(table(runs)))
    return 0


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="two tasks, three contestants, a seed")
    parser.add_argument("--table", action="store_true", help="run nothing, print what is kept")
    parser.add_argument("--markdown", action="store_true", help="as docs/comparison.md shows it")
    parser.add_argument("--sizes", action="store_true", help="print the sizes that budgets allowed")
    for name, known in (("tasks", SOURCES), ("contestants", contestants()), ("budgets", BUDGETS)):
        parser.add_argument(f"--{name}", metavar="NAME,...", help=f"of {', '.join(known)}")
    parser.add_argument("--steps", type=int, help="of Adam; default 300")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seeds", type=int, help="default 3")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--fresh", action="store_true", help="repeat what is there already")
    given = parser.parse_args(arguments)
    given.tasks = names(parser, given.tasks, SOURCES, ("exp(sin)", "iris") if given.short else ())
    three = ("bspline", "rational", "SiLU") if given.short else ()
    given.contestants = names(parser, given.contestants, contestants(), three)
    given.budgets = names(parser, given.budgets, BUDGETS, ())
    given.steps = given.steps or (40 if given.short else 300)
    given.seeds = given.seeds or (1 if given.short else 3)
    return given


def names(parser, text: str | None, known, short: tuple[str, ...]) -> list[str]:
    """Those listed, or the short form's, or all."""
    found = [] if text is None else [name for name in known if name in text.split(",")]
    if text is not None and len(found) != len(text.split(",")):
        parser.error(f"{text!r} has unknown names; there are {', '.join(known)}")
    return found or list(short or known)


if __name__ == "__main__":
    sys.exit(main())
