"""Twenty-seven dimensionless Feynman equations: how small does the test error get, and in what time?

    python benchmarks/feynman27.py [--mlp] [--pykan PYTHON] [--only I.6.2,I.27.6]
    python benchmarks/feynman27.py --table [--plot FILE]
    python benchmarks/feynman27.py --short

Formulas and ranges: edgewise.problems.dimensionless. All else as in special_functions.py; the runs are
kept in benchmarks/results/feynman-dimensionless.jsonl.
"""

import sys

from edgewise.problems import dimensionless
from fitting_suite import Suite, main

SUITE = Suite(
    "feynman-dimensionless",
    "Dimensionless Feynman equations",
    tuple(entry.id for entry in dimensionless.equations()),
    short=("I.27.6", "I.30.5"),
    needed=24,
    mean=1e-5,
)

if __name__ == "__main__":
    sys.exit(main(SUITE, __doc__ or ""))
