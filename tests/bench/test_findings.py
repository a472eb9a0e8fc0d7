"""Tables and pictures, written whole and read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from srbench.errors import InputError
from srbench.findings import Findings, as_csv, read_csv, write_findings
from srbench.images import read_image


def test_every_kind_is_written_tables_first(tmp_path: Path) -> None:
    picture = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    rows = [{"x": 1, "value": 1 / 3}, {"x": 2, "value": 0.5}]
    written = write_findings(Findings({"a.svg": "<svg/>\n", "b.png": picture, "z.csv": rows}, []), tmp_path / "new")
    assert [path.name for path in written] == ["z.csv", "a.svg", "b.png"]
    np.testing.assert_array_equal(read_image(written[2]).pixels, picture)
    assert written[1].read_text() == "<svg/>\n"
    back = read_csv(written[0], ["x", "value"])
    assert [float(row["value"]) for row in back] == [1 / 3, 0.5]


def test_what_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be written"):
        write_findings(Findings({"a.csv": [{"x": 1}]}, []), tmp_path / "file")
    with pytest.raises(InputError, match="cannot be used as a name"):
        write_findings(Findings({"../a.csv": [{"x": 1}]}, []), tmp_path)


def test_names_with_commas_survive(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(as_csv([{"image": 'a,b "c"', "n": 1}]))
    assert read_csv(path) == [{"image": 'a,b "c"', "n": "1"}]
    assert as_csv([]) == ""


def test_tabs_separate_too(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("\tRAM\tDAPE\n0\t0.9\t0.7\n1\t0.8\t0.6\n")
    assert [row["DAPE"] for row in read_csv(path, ["RAM"])] == ["0.7", "0.6"]


def test_unfit_tables(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with pytest.raises(InputError, match="cannot be read as CSV"):
        read_csv(path)
    path.write_text("a,b\n")
    with pytest.raises(InputError, match="no rows"):
        read_csv(path)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"no column 'c'; it has a, b"):
        read_csv(path, ["a", "c"])
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read as CSV"):
        read_csv(path)
