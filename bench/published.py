"""What papers printed: ``results/published/*.csv``, read with distrust and kept apart from what was measured.

Nothing here imports torch. The columns and the rules of entry are in ``results/published/README.md``.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from srbench.errors import InputError
from srbench.naming import unknown_name

COLUMNS = (
    "paper", "table", "row", "test_set", "scale", "method", "variant", "metric", "metric_id", "metric_id_basis",
    "value", "unit", "protocol", "note",
)  # fmt: skip
BASES = ("", "stated", "inferred")
TEST_SETS = "test_sets.csv"
LOST = "lost in extraction"

_FOLDER = Path("results") / "published"
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
_ID = re.compile(r"[a-z0-9_]*")
_LARGEST = 8 * 2**20
_REMEDY = "compare with results/published/README.md"


@dataclass(frozen=True)
class Reported:
    """One cell of a printed table.

    Attributes:
        paper: short name of the paper, the CSV's.
        table: as the paper numbers it.
        row: line of the table's body from 1; None where the text lost it.
        test_set: as printed; empty for numbers of no test set.
        scale: magnification; None where it means nothing.
        method: as printed.
        variant: what an ablation or a fine-tuning adds; empty for the method itself.
        metric: as printed.
        metric_id: the metric of ours of the same definition; None where there is none or the text does not decide.
        inferred: the metric's id is inferred, and the note says from what.
        value: the digits as printed; empty where there is no number.
        unit: as printed.
        protocol: the protocol of ours that rebuilds the table's; None where there is none.
        note: contradictions, inferences and losses.
    """

    paper: str
    table: str
    row: int | None
    test_set: str
    scale: int | None
    method: str
    variant: str
    metric: str
    metric_id: str | None
    inferred: bool
    value: str
    unit: str
    protocol: str | None
    note: str

    @property
    def number(self) -> float | None:
        """The printed value; None where there is none."""
        return float(self.value) if self.value else None

    @property
    def column(self) -> str:
        """Where it stands in a table of ours: under the metric's id, or under its printed name where that is open."""
        return self.metric_id or f"{self.metric} (as printed)"

    @property
    def label(self) -> str:
        """The method with its variant."""
        return f"{self.method} {self.variant}".strip()

    @property
    def source(self) -> str:
        """Where it is printed: ``hraware, Table 1``."""
        place = self.table if self.table.startswith("Fig") else f"Table {self.table}"
        return f"{self.paper}, {place}"


def published_folder() -> Path:
    """The folder of the printed numbers: of the working folder when that is a checkout, else of the one installed from.

    Raises:
        InputError: there is neither; the numbers are part of the repository and not of the wheel.
    """
    for root in (Path(), Path(__file__).resolve().parents[1]):
        if (root / _FOLDER).is_dir():
            return root / _FOLDER
    raise InputError(
        "no such folder", where=_FOLDER, remedy="run this in a checkout; printed numbers are not installed"
    )


def papers(folder: Path | None = None) -> list[str]:
    """The papers with an entry, sorted."""
    place = published_folder() if folder is None else folder
    return sorted(path.stem for path in place.glob("*.csv") if path.name != TEST_SETS)


def load_published(names: Sequence[str] = (), folder: Path | None = None) -> list[Reported]:
    """Every printed number of these papers (of all when none is named), in the order of the files.

    Raises:
        InputError: no such paper (the nearest is suggested), or a file that is not as its README says.
    """
    place = published_folder() if folder is None else folder
    known = papers(place)
    for name in names:
        if name not in known:
            raise unknown_name("paper", name, known, where=str(place))
    return [number for name in (names or known) for number in read_published(place / f"{name}.csv")]


def read_published(path: Path) -> list[Reported]:
    """The printed numbers of one file.

    Raises:
        InputError: naming file and line: other columns, a value that is no number, an empty one without a note, a
            number entered twice.
    """
    found: list[Reported] = []
    seen: dict[tuple[object, ...], int] = {}
    for line, cells in _lines(path, COLUMNS):
        try:
            number = _reported(dict(zip(COLUMNS, cells, strict=True)), path.stem)
        except ValueError as error:
            raise InputError(f"line {line}: {error}", where=path, remedy=_REMEDY) from None
        key = (number.table, number.row, number.test_set, number.method, number.variant, number.metric)
        if key in seen:
            raise InputError(f"lines {seen[key]} and {line} are the same cell", where=path, remedy=_REMEDY)
        seen[key] = line
        found.append(number)
    return found


def our_test_sets(folder: Path | None = None) -> dict[tuple[str, str], str]:
    """(paper, printed test set) -> the test set of ours, where the names differ.

    Raises:
        InputError: the file is not as its README says.
    """
    path = (published_folder() if folder is None else folder) / TEST_SETS
    if not path.is_file():
        return {}
    return {(paper, printed): ours for _, (paper, printed, ours, _note) in _lines(path, _SET_COLUMNS)}


_SET_COLUMNS = ("paper", "test_set", "ours", "note")


def _reported(cells: dict[str, str], paper: str) -> Reported:
    _refuse_malformed(cells, paper)
    return Reported(
        paper=paper,
        table=cells["table"],
        row=int(cells["row"]) if cells["row"] else None,
        test_set=cells["test_set"],
        scale=int(cells["scale"]) if cells["scale"] else None,
        method=cells["method"],
        variant=cells["variant"],
        metric=cells["metric"],
        metric_id=cells["metric_id"] or None,
        inferred=cells["metric_id_basis"] == "inferred",
        value=cells["value"],
        unit=cells["unit"],
        protocol=cells["protocol"] or None,
        note=cells["note"],
    )


def _refuse_malformed(cells: dict[str, str], paper: str) -> None:
    for wrong, what in (
        (cells["paper"] != paper, f"paper is {cells['paper'][:40]!r}, the file's is {paper!r}"),
        (not cells["table"] or not cells["method"], "table and method must be given"),
        (not re.fullmatch(r"([1-9][0-9]{0,3})?", cells["row"]), f"row {cells['row'][:20]!r} is no line number"),
        (not re.fullmatch(r"([1-9][0-9]?)?", cells["scale"]), f"scale {cells['scale'][:20]!r} is no magnification"),
        (bool(cells["value"]) and not _NUMBER.fullmatch(cells["value"]), f"value {cells['value'][:20]!r} is no number"),
        (not cells["value"] and not cells["note"], "an empty value needs a note that says why"),
        (bool(cells["value"]) and not cells["metric"], "a value needs a metric"),
        (not _ID.fullmatch(cells["metric_id"]), f"metric_id {cells['metric_id'][:40]!r} is no id"),
        (cells["metric_id_basis"] not in BASES, f"metric_id_basis {cells['metric_id_basis'][:20]!r} is unknown"),
        (bool(cells["metric_id"]) != bool(cells["metric_id_basis"]), "metric_id and metric_id_basis go together"),
    ):
        if wrong:
            raise ValueError(what)


def _lines(path: Path, columns: Sequence[str]) -> Iterable[tuple[int, list[str]]]:
    """(line, cells) of every line below the head.

    Raises:
        InputError: unreadable, other columns, or a ragged line.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise InputError(f"is larger than {_LARGEST // 2**20} MiB", where=path, remedy=_REMEDY)
        reader = csv.reader(io.StringIO(data.decode("utf-8"), newline=""), strict=True)
        lines = [(reader.line_num, cells) for cells in reader]
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path, remedy=_REMEDY) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"is no CSV in UTF-8 ({str(error)[:80]})", where=path, remedy=_REMEDY) from None
    if not lines or tuple(lines[0][1]) != tuple(columns):
        raise InputError(f"its columns must be {', '.join(columns)}", where=path, remedy=_REMEDY)
    for line, cells in lines[1:]:
        if len(cells) != len(columns):
            raise InputError(f"line {line} has {len(cells)} cells, not {len(columns)}", where=path, remedy=_REMEDY)
    return lines[1:]
