"""Problems by name: ``load("feynman/I.6.2")``."""

from __future__ import annotations

from edgewise.errors import InputError
from edgewise.problems import dimensionless, feynman, special
from edgewise.problems.dataset import Dataset

COLLECTIONS = {
    "feynman": feynman.dataset,
    "feynman-dimensionless": dimensionless.dataset,
    "special": special.dataset,
}


def load(name: str, n: int = 1000, *, n_test: int | None = None, seed: int = 0) -> Dataset:
    """The problem ``collection/id`` with n rows to train on and n_test (n if None) to test on.

    The same seed gives the same rows; no global random state is touched.

    Raises InputError: the collection or the id is not known; the message lists what there is.
    """
    collection, _, id = name.partition("/")
    if collection not in COLLECTIONS or not id:
        raise InputError(
            f"no problem is called {name[:60]!r}; expected collection/id with one of the "
            f"collections {', '.join(COLLECTIONS)}, such as 'feynman/I.6.2'"
        )
    return COLLECTIONS[collection](id, n, n_test=n_test, seed=seed)
