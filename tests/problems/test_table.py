"""Table files: what is read right, and for each thing that is not, an error that names it."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest

from edgewise.errors import DataError, FileError, MissingDependencyError
from edgewise.problems.table import read_table

GOOD = [(1.0, 2.0, 3.5), (4.0, 5.0, -6.25e-3), (7.0, 8.0, 9.0)]


def write(folder: Path, text: str | bytes, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


# --- read right ------------------------------------------------------------------------------

READ_RIGHT = {
    "plain": "a,b,y\n1,2,3.5\n4,5,-6.25e-3\n7,8,9\n",
    "no newline at the end": "a,b,y\n1,2,3.5\n4,5,-6.25e-3\n7,8,9",
    "spaces": " a , b , y \n 1, 2, 3.5 \n4 ,5 ,-6.25E-3\n7,8,9\n",
    "semicolons": "a;b;y\n1;2;3.5\n4;5;-6.25e-3\n7;8;9\n",
    "tabs": "a\tb\ty\n1\t2\t3.5\n4\t5\t-6.25e-3\n7\t8\t9\n",
    "bars": "a|b|y\n1|2|3.5\n4|5|-6.25e-3\n7|8|9\n",
    "decimal commas": "a;b;y\n1;2;3,5\n4;5;-6,25e-3\n7;8;9,0\n",
    "decimal commas and tabs": "a\tb\ty\n1\t2\t3,5\n4\t5\t-6,25e-3\n7\t8\t9,000\n",
    "carriage returns": "a,b,y\r\n1,2,3.5\r\n4,5,-6.25e-3\r\n7,8,9\r\n",
    "old carriage returns": "a,b,y\r1,2,3.5\r4,5,-6.25e-3\r7,8,9\r",
    "comments": "# by: me\n# units, too\na,b,y\n1,2,3.5\n  # half way\n4,5,-6.25e-3\n7,8,9\n#\n",
    "blank lines": "\n\na,b,y\n1,2,3.5\n\n4,5,-6.25e-3\n   \n7,8,9\n\n",
    "quotes": '"a","b","y"\n"1",2,3.5\n4,"5",-6.25e-3\n7,8,"9"\n',
    "byte order mark": b"\xef\xbb\xbfa,b,y\n1,2,3.5\n4,5,-6.25e-3\n7,8,9\n",
    "UTF-16": "a\tb\ty\n1\t2\t3.5\n4\t5\t-6.25e-3\n7\t8\t9\n".encode("utf-16"),
}


@pytest.mark.parametrize("text", READ_RIGHT.values(), ids=READ_RIGHT)
def test_reads_every_dialect(tmp_path, text):
    table = read_table(write(tmp_path, text), target="y")
    np.testing.assert_array_equal(np.column_stack([table.x, table.y]), GOOD)
    assert table.feature_names == ("a", "b")
    assert table.target_name == "y"
    assert table.x.dtype == table.y.dtype == np.float64
    assert table.path == tmp_path / "data.csv"
    assert table.ignored == ()


@pytest.mark.parametrize("name", ["data.csv", "data.tsv", "data.txt", "data"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_what_the_file_uses_whatever_its_name(tmp_path, name, delimiter):
    text = READ_RIGHT["plain"].replace(",", delimiter)
    assert read_table(write(tmp_path, text, name), "y").x.shape == (3, 2)


def test_every_float_survives_to_the_last_bit(tmp_path):
    values = np.random.default_rng(0).normal(size=(50, 3)) * 10.0 ** np.arange(-150, 150, 100)
    for label in ("", "text"):  # the quick way, and cell by cell beside a column of text
        rows = [",".join(map(repr, row)) + f",{label}x" * bool(label) for row in values.tolist()]
        text = "a,b,y" + ",t" * bool(label) + "\n" + "\n".join(rows) + "\n"
        table = read_table(write(tmp_path, text), "y")
        np.testing.assert_array_equal(np.column_stack([table.x, table.y]), values)


def test_units_in_the_header_stay_in_the_name(tmp_path):
    text = 'a (au),"speed (m/s, mean)",période (années)\n1,2,3\n'
    table = read_table(write(tmp_path, text), "période (années)")
    assert table.feature_names == ("a (au)", "speed (m/s, mean)")


def test_header_that_contains_another_delimiter(tmp_path):
    table = read_table(write(tmp_path, "a (m, s);y\n1;2\n3;4\n"), "y")
    assert table.feature_names == ("a (m, s)",)


def test_features_choose_and_order_the_columns(tmp_path):
    path = write(tmp_path, "a,b,y,c\n1,2,3,bad\n4,5,6,7\n")
    table = read_table(path, "y", ["b", "a"])
    np.testing.assert_array_equal(table.x, [[2, 1], [5, 4]])
    assert table.feature_names == ("b", "a")
    assert read_table(str(path), "y", "a").feature_names == ("a",)


def test_a_column_of_text_is_left_out_and_reported(tmp_path):
    text = "name,a,y,note\nMercury,1,2,\nVenus,3,4,hot\n"
    table = read_table(write(tmp_path, text), "y")
    assert table.feature_names == ("a",)
    assert [name for name, _ in table.ignored] == ["name", "note"]
    assert "'Mercury'" in table.ignored[0][1]


def test_nothing_is_dropped_constants_and_repeated_rows_stay(tmp_path):
    table = read_table(write(tmp_path, "a,b,y\n1,2,5\n1,2,5\n1,2,5\n"), "y")
    assert table.x.shape == (3, 2)
    np.testing.assert_array_equal(table.y, [5, 5, 5])


def test_thousands_of_columns(tmp_path):
    n = 4000
    rows = [",".join(str(r * n + j) for j in range(n)) for r in range(3)]
    text = ",".join(f"c{j}" for j in range(n)) + "\n" + "\n".join(rows) + "\n"
    table = read_table(write(tmp_path, text), "c17")
    assert table.x.shape == (3, n - 1)
    np.testing.assert_array_equal(table.y, [17, n + 17, 2 * n + 17])


def test_blocks_join_and_rows_are_counted_across_them(tmp_path):
    rows = [f"{i},label,{i * i}" for i in range(20_000)]
    path = write(tmp_path, "a,t,y\n" + "\n".join(rows) + "\n")
    table = read_table(path, "y")
    np.testing.assert_array_equal(table.y, table.x[:, 0] ** 2)
    rows[17_000] = "17000,label,oops"
    write(tmp_path, "a,t,y\n" + "\n".join(rows) + "\n")
    with pytest.raises(DataError, match=r"line 17002 \(data row 17001\), column 'y'.*'oops'"):
        read_table(path, "y")


# --- errors: file, target, features, type, and what the message must say ---------------------

ERRORS = {
    "empty cell": ("a,y\n1,2\n3,\n", "y", None, ["line 3 (data row 2)", "'y'", "is empty"]),
    "NaN cell": ("a,y\n1,2\nNaN,4\n", "y", None, ["line 3 (data row 2)", "'a'", "missing value"]),
    "n/a cell": ("a,y\n1,2\n3,n/a\n", "y", None, ["'n/a'", "missing value", "'y'"]),
    "infinite cell": ("a,y\n1,2\ninf,4\n", "y", None, ["line 3 (data row 2)", "'inf'", "finite"]),
    "overflow": ("a,y\n1,2\n1e999,4\n", "y", None, ["'1e999'", "finite", "'a'"]),
    "text cell": (
        "# c\na,b,y\n1,2,3\n\n4,12 km,6\n",
        "y",
        None,
        ["line 5 (data row 2)", "'b'", "'12 km'", "not a number", "--features"],
    ),
    "underscore": ("a,y\n1,2\n1_000,4\n", "y", None, ["'1_000'", "not a number"]),
    "thousands": ('a,y\n1,2\n"1,000",4\n', "y", None, ["'1,000'", "point", "thousands"]),
    "text column asked for": (
        "a,n,y\n1,u,2\n3,v,4\n",
        "y",
        ["a", "n"],
        ["'n'", "'u'", "holds text"],
    ),
    "text target": ("a,n\n1,u\n3,v\n", "n", None, ["'n'", "'u'", "numeric target"]),
    "only text besides": ("n,y\nu,1\nv,2\n", "y", None, ["no numeric column", "'y'", "n"]),
    "no target": ("a,b,y\n1,2,3\n", None, None, ["no target", "'a', 'b', 'y'"]),
    "unknown target": (
        "a,period_years\n1,2\n",
        "periodyears",
        None,
        ["did you mean 'period_years'", "'a'"],
    ),
    "other case": ("a,Period\n1,2\n", "period", None, ["did you mean 'Period'"]),
    "unknown feature": (
        "mass,y\n1,2\n",
        "y",
        ["mas"],
        ["no feature column 'mas'", "did you mean 'mass'"],
    ),
    "target among features": ("a,y\n1,2\n", "y", ["a", "y"], ["target 'y' is among the features"]),
    "feature twice": ("a,y\n1,2\n", "y", ["a", "a"], ["'a' is named twice"]),
    "no features": ("a,y\n1,2\n", "y", [], ["no features were named"]),
    "header only": ("# c\na,y\n", "y", None, ["no rows"]),
    "header is numbers": ("1,2\n3,4\n", "y", None, ["first line holds numbers"]),
    "short row": (
        "a,b,y\n1,2,3\n4,5\n",
        "y",
        None,
        ["line 3 (data row 2)", "2 cells", "3 columns"],
    ),
    "long row": ("a,b,y\n1,2,3,9\n4,5,6\n", "y", None, ["line 2 (data row 1)", "4 cells"]),
    "duplicate names": ("a,b,a\n1,2,3\n", "b", None, ["columns 1 and 3", "'a'", "rename"]),
    "nameless column": (",a,y\n0,1,2\n", "y", None, ["column 1 has no name", "--features"]),
    "single column": ("y\n1\n2\n", "y", None, ["single column", "'y'", "comma"]),
    "blanks": ("x y\n1 2\n", "y", None, ["single column", "'x y'", "blanks"]),
    "two delimiters": ("a,b,y\n1;2;3\n", "y", None, ["line 2 (data row 1)", "',' and ';'"]),
    "header over two lines": ('a,"y\n"', "y", None, ["no rows"]),
    "doubtful comma": ("a;y\n1;1,234\n2;2,345\n", "y", None, ["line 2", "'y'", "1.234", "1234"]),
    "both decimal marks": ("a;y\n1;1.5\n2;2,5\n", "y", None, ["line 3", "'y'", "'2,5'", "point"]),
    "open quote": ('a,y\n1,2\n"3,4\n5,6\n', "y", None, ["line 3", "quote"]),
    "quoted line break": (
        'a,t,y\n1,"u\nv",2\n3,w,x\n5,w,6\n',
        "y",
        None,
        ["line 4 (data row 2)", "'x'"],
    ),
}


@pytest.mark.parametrize(("text", "target", "features", "said"), ERRORS.values(), ids=ERRORS)
def test_bad_tables_are_refused_with_place_and_remedy(tmp_path, text, target, features, said):
    path = write(tmp_path, text)
    with pytest.raises(DataError) as caught:
        read_table(path, target, features)
    message = str(caught.value)
    assert str(path) in message
    for part in said:
        assert part in message


BROKEN_FILES = {
    "empty": (b"", "data.csv", ["is empty"]),
    "only comments": (b"# nothing\n\n", "data.csv", ["is empty"]),
    "spreadsheet": (b"PK\x03\x04rest", "data.xlsx", ["spreadsheet", "CSV"]),
    "binary": (b"a,b\n\x00\x01\x02", "data.csv", ["not a text file"]),
    "Latin-1": ("a,y\n1,2\n°,3\n".encode("latin-1"), "data.csv", ["line 3", "UTF-8"]),
    "odd UTF-16": (b"\xff\xfea\x00b", "data.csv", ["UTF-16", "UTF-8"]),
    "no Parquet": (b"a,y\n1,2\n", "data.parquet", ["not a complete Parquet file"]),
}


@pytest.mark.parametrize(("raw", "name", "said"), BROKEN_FILES.values(), ids=BROKEN_FILES)
def test_broken_files_are_refused(tmp_path, raw, name, said):
    path = write(tmp_path, raw, name)
    with pytest.raises(FileError) as caught:
        read_table(path, "y")
    for part in (str(path), *said):
        assert part in str(caught.value)


def test_a_missing_file_suggests_its_neighbour(tmp_path):
    write(tmp_path, "a,y\n1,2\n", "planets.csv")
    with pytest.raises(FileError, match=r"did you mean .*planets\.csv"):
        read_table(tmp_path / "planet.csv", "y")
    with pytest.raises(FileError, match="there is no file"):
        read_table(tmp_path / "nowhere" / "planet.csv", "y")
    with pytest.raises(FileError, match="is a folder"):
        read_table(tmp_path, "y")


# --- Parquet ---------------------------------------------------------------------------------


def parquet(path: Path, **columns) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table(columns), path)
    return path


def test_parquet_reads_numbers_of_every_kind(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from decimal import Decimal

    path = parquet(
        tmp_path / "t.parquet",
        i=[1, 2],
        f=pyarrow.array([0.5, 0.25], pyarrow.float32()),
        b=[True, False],
        d=[Decimal("1.25"), Decimal("2.50")],
        s=["u", "v"],
        y=[1.5, 2.5],
    )
    table = read_table(path, "y")
    np.testing.assert_array_equal(table.x, [[1, 0.5, 1, 1.25], [2, 0.25, 0, 2.5]])
    assert table.feature_names == ("i", "f", "b", "d")
    assert [name for name, _ in table.ignored] == ["s"]
    assert "string" in table.ignored[0][1]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ([1.0, None], "the cell is empty"),
        ([1.0, math.nan], "missing value"),
        ([1.0, math.inf], "not finite"),
    ],
)
def test_parquet_names_the_bad_cell(tmp_path, bad, said):
    path = parquet(tmp_path / "t.parquet", a=bad, y=[1.0, 2.0])
    with pytest.raises(DataError, match=rf"data row 2, column 'a'.*{said}"):
        read_table(path, "y")


def test_parquet_without_rows(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    path = parquet(tmp_path / "t.parquet", a=pyarrow.array([], pyarrow.float64()))
    with pytest.raises(DataError, match="no rows"):
        read_table(path, "a")


@pytest.mark.parametrize("kept", [4, 20, 0.5, -1])
def test_truncated_parquet_is_refused(tmp_path, kept):
    path = parquet(tmp_path / "t.parquet", a=list(range(1000)), y=list(range(1000)))
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * kept) if isinstance(kept, float) else kept])
    with pytest.raises(FileError, match="not a complete Parquet file"):
        read_table(path, "y")


def test_parquet_without_pyarrow_names_the_command(tmp_path, monkeypatch):
    path = parquet(tmp_path / "t.parquet", a=[1.0], y=[2.0])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "edgewise\[parquet\]"'):
        read_table(path, "y")
