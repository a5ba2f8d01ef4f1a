"""Fifteen special functions of two variables: how small does the test error get, and in what time?

    python benchmarks/special_functions.py [--mlp] [--pykan PYTHON] [--only jv,kv]
    python benchmarks/special_functions.py --table [--plot FILE]
    python benchmarks/special_functions.py --short

Ranges and formulas: edgewise.problems.special. 6,000 rows without noise to train on and 6,000 others to
test on; shape and grid by held-out rows (fitting_ladder.py). Beside it the paper's column (other ranges,
not published) and, in the same seconds of the processor on the same rows, MLPs and pykan in the shape
that its paper found best. Every run is kept in benchmarks/results/special.jsonl and not repeated.
"""

import sys

from edgewise.problems import special
from fitting_suite import Suite, main

SUITE = Suite(
    "special",
    "Special functions",
    tuple(entry.id for entry in special.functions()),
    short=("sph01", "sph02"),
    needed=15,
    mean=5e-6,
)

if __name__ == "__main__":
    sys.exit(main(SUITE, __doc__ or ""))
