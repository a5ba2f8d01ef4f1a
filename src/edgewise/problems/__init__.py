"""Data and where they come from: functions, arrays, table files, equations of physics."""

from edgewise.problems.catalogue import load
from edgewise.problems.dataset import Dataset, Samples, as_dataset, create_dataset
from edgewise.problems.table import Table, read_table

__all__ = ["Dataset", "Samples", "Table", "as_dataset", "create_dataset", "load", "read_table"]
