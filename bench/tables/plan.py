"""What a table still needs: every cell is recorded, can run, or cannot, with the reason. Nothing is changed here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from srbench import weight_files
from srbench.catalog import find_config
from srbench.errors import UNAVAILABLE, InputError, MetricUnavailable
from srbench.leaderboard import Entry
from srbench.metrics import find
from srbench.naming import unknown_name
from srbench.protocol import load_protocol
from srbench.tables.spec import MethodSpec, SetSpec, TableSpec

BETWEEN_REASONS = " / "

State = Literal["recorded", "to run", "cannot run", "failed"]
Locate = Callable[[str], Path]
"""Name in the weights catalogue -> file; raises MetricUnavailable with the remedy where it is absent or wrong."""


@dataclass(frozen=True)
class Terms:
    """Under which terms cells are run.

    Attributes:
        out: folder for the records of cells that will run.
        data: folder below which the test sets' roots lie.
        extra: arguments that every run gets on top.
        weights: method's name -> a file of one's own, where none is published or another is wanted: a checkpoint of
            ``srbench fit`` (``.ckpt``), or what ``model.init_args.weights`` takes.
        trial: run small random networks (the methods' ``trial`` configs) where weights are absent; such cells are
            stamped.
    """

    out: Path
    data: Path
    extra: Sequence[str] = ()
    weights: Mapping[str, Path] = field(default_factory=dict)
    trial: bool = False


@dataclass(frozen=True)
class Cell:
    """One method on one test set.

    Attributes:
        method: the row.
        test_set: the column.
        state: ``recorded``, ``to run``, ``cannot run`` (something is not here), or ``failed`` (it broke while it ran).
        entry: what was measured; None where nothing was.
        arguments: what ``srbench`` is called with to measure it.
        reason: why it cannot run (several reasons stand with `` / `` between them) or failed, or what it lacks.
    """

    method: MethodSpec
    test_set: SetSpec
    state: State
    entry: Entry | None = None
    arguments: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Plan:
    """A table with the state of all its cells, by method, then by test set."""

    spec: TableSpec
    cells: tuple[Cell, ...]

    def replaced(self, old: Cell, new: Cell) -> Plan:
        """The plan with one cell changed."""
        return dataclasses.replace(self, cells=tuple(new if cell is old else cell for cell in self.cells))


def make_plan(spec: TableSpec, entries: Sequence[Entry], terms: Terms, *, locate: Locate = weight_files.need) -> Plan:
    """The state of every cell.

    Args:
        spec: the table.
        entries: what is recorded anywhere.
        terms: see :class:`Terms`.
        locate: where published weights lie.

    Raises:
        InputError: weights are given for a method that the table does not have.
    """
    names = [method.name for method in spec.methods]
    for name in terms.weights:
        if name not in names:
            raise unknown_name("method of the table", name, names, where="--weights")
    spec = dataclasses.replace(spec, methods=tuple(_own(method, terms) for method in spec.methods))
    cells = [
        _cell(spec, method, test_set, entries, terms, locate) for method in spec.methods for test_set in spec.test_sets
    ]
    return Plan(spec, tuple(cells))


def _own(method: MethodSpec, terms: Terms) -> MethodSpec:
    """The method without the hash of published weights, where others are given."""
    return dataclasses.replace(method, weights=None) if method.name in terms.weights else method


def recorded(spec: TableSpec, method: MethodSpec, test_set: SetSpec, entries: Sequence[Entry]) -> Entry | None:
    """The newest run of the cell; runs on other weights, or under another rule of that name, do not count.

    A trial on random weights counts where there is nothing else, and the table stamps it.
    """
    rule = load_protocol(spec.protocol).sha256
    wanted = (method.name, test_set.name, test_set.scale, rule)
    found = [
        entry
        for entry in entries
        if (r := entry.record) and (r.method, r.test_set, r.scale, r.protocol_sha256) == wanted
        if _same_weights(method, r.weights_sha256)
    ]
    return max(found, key=lambda e: (not is_trial(e), datetime.fromisoformat(e.record.date)), default=None)


def is_trial(entry: Entry) -> bool:
    """Whether part of it ran on random weights."""
    return "random_backbones" in entry.record.marks


def _same_weights(method: MethodSpec, sha256: str | None) -> bool:
    """Whether a record's weights can be those of the table; True where no hash is published."""
    if method.weights is None or sha256 is None:
        return True
    weight = weight_files.find(method.weights)
    return any(sha256.startswith(weight.digest(file)) for file in (weight.file, *weight.also))


def _cell(
    spec: TableSpec,
    method: MethodSpec,
    test_set: SetSpec,
    entries: Sequence[Entry],
    terms: Terms,
    locate: Locate,
) -> Cell:
    entry = None if method.name in terms.weights else recorded(spec, method, test_set, entries)
    if entry is not None and not _can_be_filled(entry) and not is_trial(entry):
        return Cell(method, test_set, "recorded", entry, reason=_gaps(entry, spec))
    try:
        arguments = _arguments(spec, method, test_set, terms, locate)
    except InputError as error:
        if entry is not None:  # what was measured stands, although it cannot be measured again here
            return Cell(method, test_set, "recorded", entry, reason=_gaps(entry, spec))
        return Cell(method, test_set, "cannot run", reason=str(error))
    return Cell(method, test_set, "to run", entry, (*arguments, *terms.extra))


def _gaps(entry: Entry, spec: TableSpec) -> str:
    missing = {m: r.missing for m, r in entry.record.metrics.items() if m in spec.metrics and r.missing is not None}
    return "; ".join(f"{metric}: {reason.rstrip('.')}" for metric, reason in missing.items())


def _can_be_filled(entry: Entry) -> bool:
    """Whether a metric that was unavailable then has all its weights by now; its cached scores make the rest cheap."""
    for metric, result in entry.record.metrics.items():
        weights = find(metric).weights
        if (result.missing or "").startswith(UNAVAILABLE) and weights and all(map(_is_right, weights)):
            return True
    return False


def _is_right(name: str) -> bool:
    """Whether a file of the catalogue is here, and not another one of its name."""
    path = weight_files.locate(name)
    return path is not None and weight_files.fault(weight_files.find(name), path) is None


def _arguments(spec: TableSpec, method: MethodSpec, test_set: SetSpec, terms: Terms, locate: Locate) -> tuple[str, ...]:
    """The call that measures the cell.

    Raises:
        InputError: it cannot run; every reason is given at once.
    """
    weights, reasons = _weights(method, terms, locate)
    why = BETWEEN_REASONS.join(reasons)
    trial = bool(why) and terms.trial and bool(method.trial)
    if method.lacks and why and not trial:
        raise InputError(why)
    lacks = [test_set.lacks] if test_set.lacks else []
    configs = (*method.configs, *(method.trial if trial else ()), *test_set.configs)
    arguments = ["test", *(part for config in configs for part in ("--config", config))]
    for config in configs:
        try:
            find_config(config)
        except InputError as error:
            lacks.append(str(error))
    folders = {} if test_set.root is None else {"data.init_args.root": (test_set.root,)}
    for key, places in {**folders, **method.folders}.items():
        folder = next((terms.data / place for place in places if (terms.data / place).is_dir()), None)
        if folder is None:
            where = " or ".join(str(terms.data / place) for place in places)
            lacks.append(str(InputError("no such folder of test images", where=where, remedy="give it by --data DIR")))
        else:
            arguments += [f"--{key}", str(folder)]
    if why and not trial:
        lacks.append(why)
    if lacks:
        raise InputError(BETWEEN_REASONS.join(lacks))
    arguments += weights
    for key, value in {**method.arguments, **test_set.arguments}.items():
        arguments += [f"--{key}", value]
    out = str(terms.out)
    arguments += ["--benchmark.protocol", spec.protocol, "--benchmark.method", method.name, "--benchmark.out", out]
    return tuple(arguments)


def _weights(method: MethodSpec, terms: Terms, locate: Locate) -> tuple[list[str], list[str]]:
    """The arguments that give the method its weights, or why some are not there: a trial takes all of its own."""
    wanted = dict(method.other_weights)
    arguments: list[str] = []
    given = terms.weights.get(method.name)
    if given is not None and not given.is_file():
        return [], [str(InputError("there is no such file", where=given, remedy=f"give --weights {method.name}=FILE"))]
    if given is not None:
        ours = given.suffix == ".ckpt" and method.ckpt == "checkpoint"
        arguments = ["--ckpt_path" if ours else "--model.init_args.weights", str(given)]
    elif method.lacks:
        return [], [method.lacks]
    elif method.weights is not None:
        wanted = {"model.init_args.weights": method.weights, **wanted}
    lacks = []
    for key, name in wanted.items():
        try:
            arguments += [f"--{key}", str(locate(name))]
        except MetricUnavailable as error:
            lacks.append(str(error))
    return ([] if lacks else arguments), lacks
