"""Where do two classes meet, and by which formula?

    python benchmarks/phases.py [--tasks moons chain] [--seeds 0 1 2] [--results FILE]
    python benchmarks/phases.py --table [--markdown]
    python benchmarks/phases.py --pictures FOLDER
    python benchmarks/phases.py --short

Tasks: the two moons of scikit-learn (the dev extra) at four levels of noise, and extended against
localised states of the generalised Aubry-Andre chain (phases_tasks.py). A KAN is fitted with
cross-entropy; its boundary becomes a formula by phases_boundary.py, which sees the training rows only.
Held-out rows are only counted. Beside it: logistic regression, a support vector machine (RBF, C by
cross-validation) and an MLP of scikit-learn, and the best rule there is. Runs are kept in a file, one
JSON line each, and are not repeated.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import torch
from torch import Tensor

import kept
from edgewise import KAN
from phases_boundary import boundary, search
from phases_tasks import Task, chain, moons

RESULTS = Path(__file__).parent / "results" / "phases.jsonl"
NOISE = (0.0, 0.1, 0.2, 0.3)
KEY = ("task", "seed")


def classifier(task: Task, seed: int = 0) -> KAN:
    """A KAN with one score: that of class 0 is held at 0, since only differences count."""
    model = KAN(task.width, input_names=list(task.names), seed=seed)
    last = len(model.layers) - 1
    for i in range(model.layers[last].in_features):
        model.remove_edge(last, i, 0)
    model.fit(task.data, loss_fn="cross_entropy")
    return model


def others(task: Task, seed: int) -> dict[str, Tensor]:
    """Classes of the test rows by classifiers of scikit-learn, inputs standardised."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    made = {
        "logistic": LogisticRegression(),
        "SVM": GridSearchCV(SVC(), {"C": [1, 10, 100, 1000]}),
        "MLP": MLPClassifier((32, 32), solver="lbfgs", max_iter=300, tol=0, random_state=seed),
    }
    found = {}
    for name, model in made.items():
        line = make_pipeline(StandardScaler(), model)
        line.fit(task.x.numpy(), task.y.numpy())
        found[name] = torch.as_tensor(line.predict(task.test_x.numpy()))
    return found


def run(task: Task, seed: int, seconds: float = 60.0, beside: bool = True) -> dict:
    """One task: accuracies on held-out rows, the formula, and how long network and search took."""
    start = time.perf_counter()
    model = classifier(task, seed)
    trained = time.perf_counter()
    points = boundary(model, task.x, task.y)
    found, edge = search(task, points, seed, seconds)
    searched = time.perf_counter()
    guesses = {"KAN": model.predict_class(task.test_x), "formula": edge.classes(task.test_x)}
    guesses["best"] = task.best(task.test_x)
    if beside:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an MLP that has not converged says so
            guesses |= others(task, seed)
    return {
        "task": task.name, "seed": seed, "parameters": model.n_parameters,
        "found": str(found), "formula": str(edge), "found right": found.right(),
        "accuracy": {name: float((y == task.test_y).double().mean()) for name, y in guesses.items()},
        "as best": float((guesses["KAN"] == guesses["best"]).double().mean()),
        "seconds": [round(trained - start, 1), round(searched - trained, 1)],
    }  # fmt: skip


def table(runs: dict[tuple, dict], markdown: bool) -> str:
    """Accuracies in per cent, means over seeds with half their range, and formulas."""
    columns = ("KAN", "formula", "logistic", "SVM", "MLP", "best")
    lines = [("task", *columns)]
    for name in dict.fromkeys(task for task, _ in runs):
        own = [run["accuracy"] for (task, _), run in runs.items() if task == name]
        cells = []
        for column in columns:
            values = [100 * accuracy[column] for accuracy in own]
            cells.append(f"{mean(values):.2f} ±{(max(values) - min(values)) / 2:.2f}")
        lines.append((name, *cells))
    if not markdown:
        shown = ["".join(f"{cell:<15}" for cell in line) for line in lines]
    else:
        shown = ["| " + " | ".join(line) + " |" for line in lines]
        shown.insert(1, "|" + "---|" * len(lines[0]))
    shown += ["", *(f"{task}, seed {seed}: {run['formula']}" for (task, seed), run in runs.items())]
    return "\n".join(shown)


def asked_tasks(names: Sequence[str], seed: int, short: bool) -> list[Task]:
    if short:
        made = {"moons": lambda: moons(0.1, seed, 200, 1000)}
        made["chain"] = lambda: chain(seed, 100, 6, 50, (34, 89))
        return [made[name]() for name in names]
    wanted = [moons(noise, seed) for noise in NOISE] if "moons" in names else []
    return wanted + ([chain(seed)] if "chain" in names else [])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--tasks", nargs="+", choices=("moons", "chain"), default=["moons", "chain"]
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="print what has been run")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--pictures", type=Path, help="draw both boundaries into this folder")
    parser.add_argument("--short", action="store_true", help="few rows, small rings, nothing kept")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if asked.pictures:
        import phases_pictures

        phases_pictures.draw(asked.pictures)
        return 0
    if asked.short:
        found = {(t.name, 0): run(t, 0, 3.0) for t in asked_tasks(asked.tasks, 0, True)}
        print(table(found, asked.markdown))
        return 0
    for seed in () if asked.table else asked.seeds:
        for task in asked_tasks(asked.tasks, seed, False):
            if (task.name, seed) not in kept.read(asked.results, KEY):
                kept.add(asked.results, run(task, seed))
                print(task.name, seed, flush=True)
    print(table(kept.read(asked.results, KEY), asked.markdown))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
