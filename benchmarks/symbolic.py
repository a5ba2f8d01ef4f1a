"""Which laws are found? edgewise beside Operon and gplearn on SRBench's ground-truth protocol.

    python benchmarks/symbolic.py [--rivals PYTHON] [--limit 60] [--noise 0,0.001,0.01,0.1]
    python benchmarks/symbolic.py --only I.6.2a,I.16.6 --seeds 0-2
    python benchmarks/symbolic.py --table [--fronts | --markdown]
    python benchmarks/symbolic.py --short

Data: the 100 Feynman equations on their stated ranges, variables named x0, x1, ...; 75 % of the
rows (at most 10,000) to train on, with noise N(0, gamma RMS(y)) on the target, 25 % to test on,
without. Every method gets the same rows and the same --limit of seconds a problem, in a process of
its own with one thread (or --jobs), killed --grace seconds after the limit. Rivals run where they
are installed: in this interpreter, or in that of --rivals PYTHON (pip install pyoperon gplearn).

solved: SRBench's rule (symbolic_rule.py says it). same to 1e-6: our stricter check, without noise:
the formula equals the truth on fresh points from ranges half as wide again. in front: runs whose
pick is not the law though another formula of the front is. A time limit and an error count as not
solved, with their reason.

Results go to benchmarks/results/symbolic.jsonl, one line a run; what is there already, by the same
version and source, is not repeated unless --fresh; a changed rule judges it again.
"""

from __future__ import annotations

import argparse
import queue
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

from edgewise.workers import Worker
from kept import add, read
from options import seeds
from symbolic_markdown import markdown
from symbolic_problems import SHORT, problems
from symbolic_runs import JUDGE, KEY, Method, judged, measured, methods
from symbolic_table import by_equation, summary

RESULTS = Path(__file__).parent / "results" / "symbolic.jsonl"


def main(arguments: list[str] | None = None) -> int:
    given = parsed(arguments)
    if given.table:
        runs = chosen(list(read(given.results, KEY).values()), given)
        if given.markdown:
            print(markdown(runs, problems()))
        else:
            print(by_equation(runs, given.fronts))
            print(summary(runs))
        return 0
    known = methods(given.rivals)
    missing = [name for name in given.methods or () if name not in known]
    if missing:
        print(f"not installed: {', '.join(missing)}; --rivals PYTHON names an interpreter that has")
        return 2
    contestants = [known[name] for name in given.methods or known]
    try:
        runs = all_of(contestants, given)
    except KeyboardInterrupt:
        print("interrupted; the runs that ended are kept, and the next start goes on from there")
        return 130
    print(by_equation(runs, given.fronts))
    print(summary(runs))
    return 0


def all_of(contestants: list[Method], given: argparse.Namespace) -> list[dict]:
    """Every run that is asked for: kept, or made now; the methods take turns on each problem."""
    kept = {} if given.fresh else read(given.results, KEY)
    asked = [
        {
            "method": method.name,
            "problem": name,
            "noise": noise,
            "seed": seed,
            "limit": given.limit,
            "rows": given.rows,
            "jobs": given.jobs,
        }
        for noise, seed, name, method in product(given.noise, given.seeds, given.only, contestants)
    ]
    by_name = {method.name: method for method in contestants}
    stop, writing = threading.Event(), threading.Lock()
    judges: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    workers = [Worker() for _ in range(given.parallel)]
    for worker in workers:
        judges.put(worker)

    def one(key: dict) -> dict:
        method, run = by_name[key["method"]], kept.get(tuple(key[name] for name in KEY))
        again = run is None or (run["version"], run["source"]) != (method.version, method.source)
        if run is not None and not again and run.get("judged_by") == JUDGE:
            return run
        judge = judges.get()
        try:
            if again or run is None:
                run = measured(method, key, given.grace, stop)
            run = judged(run, judge)
        finally:
            judges.put(judge)
        with writing:
            add(given.results, run)
            print(told(run), file=sys.stderr, flush=True)
        return run

    try:
        return mapped(one, asked, given.parallel, stop)
    finally:
        for worker in workers:
            worker.stop()


def mapped(
    one: Callable[[dict], dict], asked: list[dict], parallel: int, stop: threading.Event
) -> list[dict]:
    """one(key) for all keys, in order. Ctrl-C kills the running ones; those made are kept."""
    with ThreadPoolExecutor(parallel) as pool:
        made = [pool.submit(one, key) for key in asked]
        try:
            return [future.result() for future in made]
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def told(run: dict) -> str:
    verdict = "solved" if run["solved"] else run["why"]
    return (
        f"{run['problem']}, noise {run['noise']:g}, seed {run['seed']}: {run['method']}: {verdict}"
        f" ({run['seconds']:.1f} s)"
    )


def chosen(runs: list[dict], given: argparse.Namespace) -> list[dict]:
    """The kept runs that the options name; an option that was not given names all."""
    names = list(problems())
    wanted = {"problem": given.only_given, "noise": given.noise_given, "seed": given.seeds_given}
    wanted |= {"method": given.methods, "limit": given.limit_given and [given.limit]}
    left = [run for run in runs if all(not v or run[k] in v for k, v in wanted.items())]
    return sorted(left, key=lambda run: names.index(run["problem"]))


# --- arguments -----------------------------------------------------------------------------------


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="12 problems, 15 s each, 2,000 rows")
    parser.add_argument("--table", action="store_true", help="run nothing, print what is kept")
    parser.add_argument(
        "--fronts", action="store_true", help="print every formula of the fronts, and notes"
    )
    parser.add_argument("--markdown", action="store_true", help="with --table: as the docs have it")
    parser.add_argument("--only", type=words, metavar="NAME,...", help="these equations")
    parser.add_argument("--methods", type=words, metavar="NAME,...", help="default: all there are")
    parser.add_argument("--rivals", metavar="PYTHON", help="interpreter that has the rivals")
    parser.add_argument("--noise", type=numbers, help="gamma, such as 0,0.001,0.01,0.1; default 0")
    parser.add_argument("--seeds", type=seeds, help="0-9, or 0,3,5; default 0")
    parser.add_argument(
        "--limit", type=float, help="seconds a problem; default 60, 15 with --short"
    )
    parser.add_argument("--grace", type=float, default=60, help="seconds until it is killed")
    parser.add_argument("--rows", type=int, help="drawn in all; default 14,000, 2,000 with --short")
    parser.add_argument("--jobs", type=int, default=1, help="processes or threads of each method")
    parser.add_argument("--parallel", type=int, default=1, help="problems at a time")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--fresh", action="store_true", help="repeat what is there already")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.only or () if name not in problems()]
    if unknown:
        parser.error(f"no equation is called {', '.join(unknown)}")
    given.only_given, given.noise_given = given.only, given.noise
    given.seeds_given, given.limit_given = given.seeds, given.limit
    given.only = given.only or list(SHORT if given.short else problems())
    given.noise = given.noise or [0.0]
    given.seeds = given.seeds or [0]
    given.limit = given.limit or (15.0 if given.short else 60.0)
    given.rows = given.rows or (2000 if given.short else 14_000)
    return given


def words(text: str) -> list[str]:
    return text.split(",")


def numbers(text: str) -> list[float]:
    return [float(number) for number in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
