"""The exceptions that edgewise raises.

::

    EdgewiseError
    ├── InputError (also ValueError)       something that was passed in does not fit
    │   ├── DataError                      a cell, column or row of the data
    │   ├── ShapeError                     the shape or dtype of an array
    │   └── FormulaError                   the text or structure of a formula
    ├── FileError (also OSError)           a file cannot be read, or is not what it claims to be
    ├── FitError (also RuntimeError)       training could not give a finite result
    └── MissingDependencyError (also ImportError)   an optional package is needed

Each message says what came, what was expected, and what to do.
"""


class EdgewiseError(Exception):
    """Base of everything that edgewise raises on purpose."""


class InputError(EdgewiseError, ValueError):
    """An argument does not fit; the message names it."""


class DataError(InputError):
    """The data hold something that cannot be used; the message names column and row."""


class ShapeError(InputError):
    """An array has the wrong shape or dtype; the message gives both shapes."""


class FormulaError(InputError):
    """A formula's text or structure is not understood; the message quotes the part."""


class FileError(EdgewiseError, OSError):
    """A file is missing, damaged, or of another kind."""


class FitError(EdgewiseError, RuntimeError):
    """Training could not give a finite result; the message says at which step."""


class MissingDependencyError(EdgewiseError, ImportError):
    """An optional package is not installed; the message names the command that installs it."""
