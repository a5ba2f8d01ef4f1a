"""Data and where they come from: functions, arrays, table files."""

from edgewise.problems.dataset import Dataset, Samples, as_dataset, create_dataset
from edgewise.problems.table import Table, read_table

__all__ = ["Dataset", "Samples", "Table", "as_dataset", "create_dataset", "read_table"]
