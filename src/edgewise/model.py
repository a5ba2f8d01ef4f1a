"""KAN: the network with the verbs that users know, each a line or two over the stages below.

``fit``, ``auto_symbolic``, ``fix_symbolic`` and ``unfix_symbolic`` change the model they are called
on and return what they found; ``prune``, ``refine`` and the other verbs that change the structure
return a new, independent model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from edgewise import bases, interpret, train
from edgewise.bases import Basis
from edgewise.bases.base import check_count
from edgewise.errors import InputError
from edgewise.nn import Network
from edgewise.nn.expand import expand, perturb
from edgewise.nn.network import Width
from edgewise.nn.order import permute
from edgewise.problems.dataset import Dataset, Samples, as_dataset
from edgewise.symbolic.canonical import canonicalise
from edgewise.symbolic.compose import network_formulas
from edgewise.symbolic.formula import Formula
from edgewise.symbolic.joint import Candidates, auto_symbolic, edge_suggestions
from edgewise.symbolic.primitives import Primitive, primitive
from edgewise.symbolic.refit import constants
from edgewise.symbolic.snapping import snap_network
from edgewise.symbolic.suggest import Suggestion, library
from edgewise.train import EdgeSparsity, GridUpdates, History
from edgewise.train.fit import Solver

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Library = Sequence[str | Primitive] | None

_SOLVERS = ("auto", "LM", "LBFGS", "Adam")


class KAN(Network):
    """A Kolmogorov-Arnold network, from data to formula.

    width: nodes a level, as [2, 5, 1]; an entry may be [n_sum, n_mult].
    basis: a family's name, such as "chebyshev" (`bases.FAMILIES` lists them), or a Basis; or a list of
    one a layer. grid: its size, for splines the number of intervals, 5 by default; or a list of one a
    layer. k: degree of the splines, 3 by default. seed: of the start; no global random state is
    touched. base_fun: the residual branch, "silu", "identity" or "zero". mult_arity: factors a
    product. grid_range: the edges' range before any data are seen, (-1, 1) by default. grid_eps: 1,
    the default, spaces knots uniformly, 0 by the data's quantiles. start: "noise", "glorot" or "power"
    (``nn.starts``). noise_scale: the size of the curves at the start "noise"; for splines the std of
    their coefficients. dtype: float64 by default, where the last eight digits are; inputs of any float
    dtype are taken.
    """

    def __init__(
        self,
        width: Width,
        grid: int | Sequence[int] | None = None,
        k: int | None = None,
        *,
        seed: int = 0,
        basis: str | Basis | Sequence[str | Basis] = "bspline",
        base_fun: str = "silu",
        mult_arity: int | Sequence[Sequence[int]] = 2,
        grid_range: tuple[float, float] | None = None,
        grid_eps: float | None = None,
        start: str = "noise",
        noise_scale: float = 0.1,
        affine_trainable: bool = False,
        input_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> None:
        layers = len(width) - 1 if not isinstance(width, int) else 0
        family = _families(basis, grid, layers, k=k, grid_range=grid_range, grid_eps=grid_eps)
        generator = torch.Generator(device=device or "cpu").manual_seed(seed)
        super().__init__(
            width,
            family,
            base=base_fun,
            mult_arity=mult_arity,
            start=start,
            noise=noise_scale,
            affine_trainable=affine_trainable,
            input_names=input_names,
            output_names=output_names,
            generator=generator,
            dtype=dtype,
            device=device,
        )
        self.seed = seed
        self.data: Dataset | None = None
        self.classifies = False  # whether the last fit took the outputs as scores of classes

    # --- training -----------------------------------------------------------------------------

    def fit(
        self,
        dataset: Dataset | dict[str, Tensor] | tuple | DataLoader | None = None,
        opt: str = "auto",
        steps: int | None = None,
        *,
        lamb: float = 0.0,
        lamb_l1: float = 1.0,
        lamb_entropy: float = 2.0,
        lamb_coef: float = 0.0,
        lamb_coefdiff: float = 0.0,
        loss_fn: Any = None,
        lr: float | None = None,
        batch: int | None = None,
        grids: Sequence[int] | None = None,
        update_grid: bool = True,
        grid_update_num: int = 10,
        stop_grid_update_step: int = 50,
        restarts: int = 4,
        metrics: Sequence[Callable[[Network], float]] = (),
        callbacks: Sequence[train.Callback] = (),
        patience: int | None = None,
        time_limit: float | None = None,
        progress: bool = False,
        seed: int | None = None,
    ) -> History:
        """Train in place and return the history.

        opt: "auto" chooses by size and loss and says so in ``history.events``; "LM", "LBFGS", "Adam"
        run as they are. steps: 400 for auto (second-order steps in all), 100 for LM and LBFGS, 1000
        for Adam. lamb: strength of the sparsity penalty (1e-2 is a good first value); lamb_entropy,
        lamb_coef and lamb_coefdiff act in first-order steps only. lr: LBFGS and Adam; batch: Adam.
        grids: sizes to pass through with opt="auto"; the one that predicts held-out rows best stays.
        loss_fn: None for the mean square, "cross_entropy" for classes (labels 0 .. C-1 or probabilities;
        the model has C outputs), or a callable (y, target) -> scalar.
        dataset: as ``train.fit`` takes it; a DataLoader gives Adam its batches, which opt="auto" then
        means. A data frame's column names become the model's, unless it has names. The other arguments are
        those of ``train.fit`` and of pykan's ``fit``. Raises InputError for an option that the
        solver does not have.
        """
        loader = dataset if isinstance(dataset, DataLoader) else None
        if loader is not None and opt == "auto":
            opt = "Adam"
        data = self._data(dataset if loader is None else train.all_rows(loader))
        classifies = isinstance(train.make_loss(loss_fn), train.CrossEntropy)
        if classifies:
            data = train.with_probabilities(data, self.nodes[-1].out_features)
        _check_options(opt, {"lr": lr, "batch": batch, "grids": grids})
        updates = GridUpdates(grid_update_num if update_grid else 0, stop_grid_update_step)
        seed = self.seed if seed is None else seed
        solver: Solver
        if opt == "auto":
            solver = train.Auto(
                400 if steps is None else steps,
                restarts,
                tuple(grids) if grids is not None else None,
                update_grid=update_grid,
                seed=seed,
            )
        elif opt == "LM":
            solver = train.LevenbergMarquardt(100 if steps is None else steps, grids=updates)
        elif opt == "LBFGS":
            solver = train.LBFGS(100 if steps is None else steps, lr or 1.0, grids=updates)
        elif opt == "Adam":
            solver = train.Adam(1000 if steps is None else steps, lr or 1e-2, batch, seed, updates)
        else:
            raise InputError(f"opt is {opt!r}; expected one of {_SOLVERS}.")
        fitted = train.fit(
            self,
            data if loader is None else loader,
            solver=solver,
            loss=loss_fn,
            penalty=EdgeSparsity(lamb, lamb_l1, lamb_entropy, lamb_coef, lamb_coefdiff),
            metrics=metrics,
            callbacks=callbacks,
            patience=patience,
            time_limit=time_limit,
            progress=progress,
        )
        self._become(fitted.model)
        self.data, self.classifies = data, classifies
        if self.input_names is None and not _plain(data.input_names, "x"):
            self.input_names = data.input_names
        if self.output_names is None and not _plain(data.output_names, "y"):
            self.output_names = data.output_names
        return fitted.history

    def predict_proba(self, x: Tensor) -> Tensor:
        """Class probabilities, the softmax of the outputs as scores: x (..., I) -> (..., C)."""
        with torch.no_grad():
            scores = self(x)
        if scores.shape[-1] < 2:
            raise InputError(
                "Classes need one output each, two at least; this model has 1. Make it with width "
                "[..., number of classes] and fit it with loss_fn='cross_entropy'."
            )
        return scores.softmax(dim=-1)

    def predict_class(self, x: Tensor) -> Tensor:
        """The likeliest class, from 0: x (..., I) -> (...,) int64."""
        return self.predict_proba(x).argmax(dim=-1)

    def refine(self, grid: int | list[int]) -> Self:
        """A new model on grids of ``grid`` intervals: the same function when a multiple of the old."""
        return train.refine(self, grid)[0]

    def expand(
        self,
        width: Width,
        mult_arity: int | Sequence[Sequence[int]] = 2,
        *,
        noise_scale: float = 0.1,
        seed: int | None = None,
        data: Any = None,
    ) -> Self:
        """A new model of the larger ``width`` that computes the same: wider hidden levels, and more
        levels behind the outputs. What is new starts silent and can be trained; see ``nn.expand``."""
        generator, x = self._drawn(seed), self._known_inputs(data)
        options = {"mult_arity": mult_arity, "noise": noise_scale}
        return expand(self, width, generator=generator, x=x, **options)  # type: ignore[arg-type]

    def perturb(
        self,
        magnitude: float = 0.1,
        edges: str = "all",
        *,
        seed: int | None = None,
        data: Any = None,
    ) -> Self:
        """A new model with random curves on its edges ("all", "live" or "off"), symbols under them."""
        generator, x = self._drawn(seed), self._known_inputs(data)
        return perturb(self, magnitude, edges, generator=generator, x=x)

    def swap(self, l: int, i: int, j: int) -> Self:
        """A new model with nodes i and j of hidden level l in each other's place; it computes the same."""
        order = list(range(sum(self.width[l]) if 0 <= l < len(self.width) else 0))
        if not (0 <= i < len(order) and 0 <= j < len(order)):
            raise InputError(f"Nodes {i} and {j} of level {l} were asked for; it has {len(order)}.")
        order[i], order[j] = j, i
        return permute(self, l, order)

    def auto_swap(self, *, data: Any = None) -> Self:
        """A new model with hidden nodes in the order that makes its wiring short; it computes the same."""
        return interpret.untangle(self, self.attribute(data))

    def update_grid(self, x: Tensor) -> None:
        """Make grids follow the activations of x (B, I), in place; the function stays."""
        train.update_grids(self, self.checked(x))

    # --- interpretation -----------------------------------------------------------------------

    def attribute(self, data: Any = None) -> interpret.Attribution:
        """Scores of nodes and edges on the training inputs, or on ``data``."""
        return interpret.attribute(self, self.trace(self._inputs(data)))

    def feature_score(self, data: Any = None) -> Tensor:
        """The inputs' scores (I,)."""
        return self.attribute(data).inputs

    def feature_interaction(
        self, l: int = 1, node_th: float = 1e-2, input_th: float = 1e-2, *, data: Any = None
    ) -> dict[tuple[int, ...], float]:
        """Which inputs meet in one node of level l -> the scores of those nodes, the largest first."""
        trace = self.trace(self._inputs(data))
        return interpret.feature_interaction(self, trace, l, node_th=node_th, input_th=input_th)

    def structure(
        self, output: int = 0, *, error: float | None = None, rows: int = 500, data: Any = None
    ) -> interpret.Structure:
        """What form the model's function has: sums, products, symmetries, groups, as a tree.

        error: what the model is known up to, rms; None takes its own on the test rows, or on the
        training rows where there are none. See ``interpret.structure``.
        """
        if error is None:
            if self.classifies:
                raise InputError(
                    "Scores of classes have no error of their own: say error=1e-3, or so."
                )
            known = self._data(data)
            judged = known.train if known.test is None else known.test
            with torch.no_grad():
                left = (self(judged.x.to(self.device)) - judged.y.to(self.device))[:, output]
            error = float(left.square().mean().sqrt())
        check_count("rows", rows, 1)
        x = self._inputs(data)
        # at random: every tenth row of a grid would hold some inputs fixed
        few = (
            torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:rows].sort().values
        )
        return interpret.structure(
            lambda x: self(x.to(self.device))[:, output].to(x.device),
            x[few.to(x.device)].cpu(),
            error=error,
            names=self.input_names,
        )

    def prune(self, node_th: float = 1e-2, edge_th: float = 3e-2, *, data: Any = None) -> Self:
        """A new model without the nodes and edges that score below the thresholds."""
        trace = self.trace(self._inputs(data))
        return interpret.prune(self, trace, node_th=node_th, edge_th=edge_th)

    def prune_node(self, threshold: float = 1e-2, *, data: Any = None) -> Self:
        """A new model without the hidden nodes that score below the threshold."""
        trace = self.trace(self._inputs(data))
        return interpret.prune(self, trace, node_th=threshold, edge_th=0.0)

    def prune_edge(self, edge_th: float = 3e-2, *, data: Any = None) -> Self:
        """A new model with weak edges switched off."""
        return interpret.prune_edges(self, self.trace(self._inputs(data)), edge_th=edge_th)

    def prune_input(
        self,
        threshold: float = 1e-2,
        active_inputs: Sequence[int] | None = None,
        *,
        data: Any = None,
    ) -> Self:
        """A new model on the inputs that matter; ``input_names`` say which they are."""
        named = self.clone()
        if named.input_names is None:
            named.input_names = tuple(f"x_{i + 1}" for i in range(self.layers[0].in_features))
        trace = self.trace(self._inputs(data))
        smaller, kept = interpret.prune_inputs(
            named, trace, threshold=threshold, keep=active_inputs
        )
        if smaller.data is not None:
            smaller.data = _columns(smaller.data, kept)
        return smaller

    def get_fun(self, l: int, i: int, j: int, *, data: Any = None) -> tuple[Tensor, Tensor]:
        """The samples of edge (l, i, j): its inputs in rising order and its values, (B,) each."""
        self._check_edge(l, i, j)
        trace = self.trace(self._inputs(data))
        x, order = trace.inputs[l][:, i].sort()
        return x, trace.edges[l][order, j, i]

    def get_range(
        self, l: int, i: int, j: int, *, data: Any = None
    ) -> tuple[float, float, float, float]:
        """(x_min, x_max, y_min, y_max) of edge (l, i, j)."""
        x, y = self.get_fun(l, i, j, data=data)
        return float(x[0]), float(x[-1]), float(y.min()), float(y.max())

    # --- symbols ------------------------------------------------------------------------------

    def suggest_symbolic(
        self, l: int, i: int, j: int, lib: Library = None, topk: int = 5, *, data: Any = None
    ) -> list[Suggestion]:
        """The best primitives for the curve on edge (l, i, j): from node i of level l to j."""
        self._check_edge(l, i, j)
        x = self._inputs(data)
        return edge_suggestions(self, (l, i, j), x, library(lib), topk)

    def fix_symbolic(
        self,
        l: int,
        i: int,
        j: int,
        name: str | Primitive,
        affine: tuple[float, float, float, float] | None = None,
        *,
        data: Any = None,
    ) -> Suggestion:
        """Put primitive ``name`` on edge (l, i, j), in place: c f(a x + b) + d.

        affine: (a, b, c, d); None fits it to the edge's present curve. Returns what was put there,
        with its r2 against that curve.
        """
        self._check_edge(l, i, j)
        record = primitive(name)
        if affine is None:
            found = edge_suggestions(self, (l, i, j), self._inputs(data), [record], 1)
            if not found:
                raise InputError(
                    f"{record.name!r} cannot stand on edge {(l, i, j)}: it has a pole or the end of "
                    "its domain in the edge's range. Give affine=(a, b, c, d), or another primitive."
                )
            suggestion = found[0]
        else:
            suggestion = Suggestion(record, affine, float("nan"))
        self.layers[l].fix_symbolic(j, i, record, suggestion.affine)
        return suggestion

    def unfix_symbolic(self, l: int, i: int, j: int) -> None:
        """Give edge (l, i, j) its spline back, in place; an edge that is off stays off."""
        self._check_edge(l, i, j)
        self.layers[l].unfix_symbolic(j, i)

    def remove_edge(self, l: int, i: int, j: int) -> None:
        """Switch edge (l, i, j) off, in place; the function loses that edge, its mean included."""
        self._check_edge(l, i, j)
        self.layers[l].switch_off((j, i))

    def auto_symbolic(
        self, lib: Library = None, *, snap: bool = True, beam: int = 4, data: Any = None
    ) -> Candidates:
        """Make every live edge symbolic, in place, and return what was considered.

        A joint search: whole assignments are refitted end to end; constants become simple numbers
        where the data allow it. ``str(result)`` tells the formula's error beside the network's. After a
        fit of classes the formulas are sought for the network's own scores.
        """
        rows = self._targets(data)
        found = auto_symbolic(self, rows.train, lib, beam=beam, snap=snap, held_out=rows.test)
        self._become(found.model)
        return found

    def snap(self, *, data: Any = None) -> None:
        """Put the constants of a symbolic model in canonical form and refit them, in place, as the
        simplest numbers that the data allow: after ``fix_symbolic`` by hand and a fit."""
        network_formulas(self)  # raises where an edge is still a curve
        rows = self._targets(data).train
        canonicalise(self)
        snap_network(self, replace(rows, x=self.checked(rows.x), y=rows.y.to(self.dtype)))

    def symbolic_formula(self, names: Sequence[str] | None = None) -> Any:
        """The network as a SymPy expression; a list of them for several outputs.

        Raises FormulaError when a live edge is still a spline, and names it.
        """
        formulas = network_formulas(self, names)
        return formulas[0] if len(formulas) == 1 else formulas

    def formula(self, output: int = 0) -> Formula:
        """The formula of one output, as a value that prints, predicts and gives its source.

        After a fit its constants carry standard errors, from the rows that the model was fitted to.
        """
        names = self.input_names or tuple(f"x_{i + 1}" for i in range(self.layers[0].in_features))
        expression = network_formulas(self, names)[output]
        target = self.output_names[output] if self.output_names else "y"
        if self.data is None or self.classifies:
            return Formula(expression, names, target)
        rows = self.data.train
        x, y = rows.x.double().cpu(), rows.y[:, output].double().cpu()
        return Formula(expression, names, target, constants(expression, x, y, names, rows.weight))

    # --- pictures -----------------------------------------------------------------------------

    def plot(self, *, data: Any = None, **options: Any) -> Figure:
        """The network as one vector figure: each edge's curve, stronger where it matters.

        With ``data`` (or after ``fit``) curves cover the data and opacity follows attribution;
        with neither, curves cover the grid's range. options: those of ``plot.network``.
        """
        from edgewise import plot

        if data is None and self.data is None:
            return plot.network(self, **options)
        trace = self.trace(self._inputs(data))
        return plot.network(self, trace, interpret.attribute(self, trace), **options)

    # --- plumbing -----------------------------------------------------------------------------

    def _check_edge(self, l: int, i: int, j: int) -> None:
        if not 0 <= l < len(self.layers):
            raise InputError(f"Layer {l} was asked for; there are {len(self.layers)}, from 0.")
        layer = self.layers[l]
        if not (0 <= i < layer.in_features and 0 <= j < layer.out_features):
            raise InputError(
                f"Edge (l, i, j) = {(l, i, j)} does not exist: layer {l} goes from "
                f"{layer.in_features} nodes to {layer.out_features}."
            )

    def _data(self, data: Any) -> Dataset:
        if data is not None:
            return as_dataset(data)
        if self.data is None:
            raise InputError("No data: pass data=(x, y) or a dataset, or call fit(dataset) first.")
        return self.data

    def _targets(self, data: Any) -> Dataset:
        """The data as formulas must give them: of a classifier the scores that it gives now."""
        rows = self._data(data)
        if not self.classifies:
            return rows

        @torch.no_grad()
        def scored(part: Samples) -> Samples:
            return replace(part, y=self(part.x.to(self.device)).to(part.x))

        test = None if rows.test is None else scored(rows.test)
        names = tuple(f"y_{c + 1}" for c in range(self.nodes[-1].out_features))
        return replace(rows, train=scored(rows.train), test=test, output_names=names)

    def _inputs(self, data: Any) -> Tensor:
        """The inputs (B, I) of ``data`` (also x alone), or those of the last fit."""
        x = data if isinstance(data, Tensor) else self._data(data).train.x
        return self.checked(x.to(self.device))

    def _known_inputs(self, data: Any) -> Tensor | None:
        return None if data is None and self.data is None else self._inputs(data)

    def _drawn(self, seed: int | None) -> torch.Generator:
        return torch.Generator(self.device).manual_seed(self.seed if seed is None else seed)

    def _become(self, other: Network) -> None:
        self.layers, self.nodes = other.layers, other.nodes

    def clone(self) -> Self:
        data, self.data = self.data, None  # data are shared, not copied: they never change
        try:
            copy = super().clone()
        finally:
            self.data = data
        copy.data = data
        return copy


def _families(
    basis: str | Basis | Sequence[str | Basis],
    grid: int | Sequence[int] | None,
    layers: int,
    k: int | None,
    grid_range: tuple[float, float] | None,
    grid_eps: float | None,
) -> list[Basis]:
    """A basis a layer, with the options that were given; a Basis has its own."""
    options = {"degree": k, "range": grid_range, "grid_eps": grid_eps}
    own = {name: value for name, value in options.items() if value is not None}
    names = [basis] * layers if isinstance(basis, str | Basis) else list(basis)
    sizes = list(grid) if isinstance(grid, list | tuple) else [grid] * layers
    if len(names) != layers or len(sizes) != layers:
        raise InputError(
            f"{len(names)} bases and {len(sizes)} grids came for {layers} layers; give one for all, "
            "or a list of one a layer."
        )
    found = []
    for one, size in zip(names, sizes, strict=True):
        given = own if size is None else own | {"grid": size}
        if one != "bspline" and isinstance(one, str) and k is not None:
            raise InputError(f"k={k} is a degree of splines; the size of {one!r} is grid.")
        if isinstance(one, Basis) and given:
            raise InputError(f"{one} has its own {', '.join(given)}; make it with those wanted.")
        found.append(bases.make(one, **given))
    return found


def _check_options(opt: str, options: dict[str, Any]) -> None:
    known = {"auto": {"grids"}, "LBFGS": {"lr"}, "Adam": {"lr", "batch"}}.get(opt, set())
    for name, value in options.items():
        if value is not None and name not in known:
            raise InputError(
                f"{name}={value!r} came with opt={opt!r}, which has no such option. Leave it out"
                + (", or use opt='Adam'." if name != "grids" else ", or use opt='auto'.")
            )


def _plain(names: Sequence[str], letter: str) -> bool:
    """Whether the names are only those that unnamed columns get: x_1, x_2, ..."""
    return list(names) == [f"{letter}_{n + 1}" for n in range(len(names))] or list(names) == ["y"]


def _columns(data: Dataset, kept: Sequence[int]) -> Dataset:
    def cut(samples: Any) -> Any:
        return None if samples is None else replace(samples, x=samples.x[:, list(kept)])

    names = tuple(data.input_names[i] for i in kept)
    return replace(data, train=cut(data.train), test=cut(data.test), input_names=names)


# --- models from formulas, to files and back ----------------------------------------------------


def compile_formula(
    formula: Any, names: Sequence[Any] | None = None, *, grid: int = 5, k: int = 3, **options: Any
) -> KAN:
    """The KAN that computes a formula (text, sympy or Formula; a list gives one output each).

    ``compile_formula("exp(sin(pi*x1) + x2^2)")`` has width [2, 1, 1]. names: the inputs in order.
    options: dtype, output_names, ranges; see ``symbolic.compile.compile_formula``.
    Raises FormulaError for what no network of primitives computes, and names it.
    """
    from edgewise.symbolic import compile

    return compile.compile_formula(formula, names, grid=grid, k=k, network=KAN, **options)


def save(model: Network, path: str | PathLike[str]) -> Path:
    """Write the model to one file, whole or not at all; see ``io.save``."""
    from edgewise import io

    return io.save(model, path)


def load(path: str | PathLike[str], device: torch.device | str | None = None) -> KAN:
    """The model that was saved to ``path``; it predicts the same to the bit. See ``io.load``."""
    from edgewise import io

    return cast(KAN, io.load(path, device, kinds={"KAN": KAN}))
