"""Training: objectives, penalties, grids and the one fit."""

from edgewise.train.auto import Auto
from edgewise.train.classes import with_probabilities
from edgewise.train.fit import Fitted, fit
from edgewise.train.grids import covers, refine, update_grids
from edgewise.train.history import History
from edgewise.train.loader import all_rows
from edgewise.train.losses import CrossEntropy, MeanSquare, make_loss
from edgewise.train.objective import Objective
from edgewise.train.penalties import EdgeSparsity
from edgewise.train.recorder import Callback, Recorder
from edgewise.train.solvers import LBFGS, Adam, GridUpdates, LevenbergMarquardt

__all__ = [
    "LBFGS",
    "Adam",
    "Auto",
    "Callback",
    "CrossEntropy",
    "EdgeSparsity",
    "Fitted",
    "GridUpdates",
    "History",
    "LevenbergMarquardt",
    "MeanSquare",
    "Objective",
    "Recorder",
    "all_rows",
    "covers",
    "fit",
    "make_loss",
    "refine",
    "update_grids",
    "with_probabilities",
]
