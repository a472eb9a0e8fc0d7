"""``srbench score``: any folder of images, scored under a protocol; made by whatever method, anywhere in the world."""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from srbench import __version__
from srbench.atomic import write_whole
from srbench.command_parser import CommandParser
from srbench.environment import environment, git_revision, now
from srbench.errors import InputError
from srbench.folders import score_folders
from srbench.images import PIXEL_LIMIT, fingerprint, list_images
from srbench.naming import printable, safe_name
from srbench.pairing import pair
from srbench.protocol import load_protocol, narrowed
from srbench.records import (
    SCHEMA,
    Cost,
    ImageRow,
    MetricResult,
    RunRecord,
    record_folder,
    run_fingerprint,
    write_record,
)
from srbench.records.codec import rows_to_csv
from srbench.score_cache import open_cache
from srbench.scoring import Scorer
from srbench.summary import oddities, remarks, summarise

_CLASS_PATH = "srbench.score_command"


def run(argv: Sequence[str]) -> int:
    """Score a folder, print a table, and on demand write per-image scores and a record for the leaderboard.

    Args:
        argv: what follows ``srbench score`` on the command line.

    Returns:
        The exit status, 0.

    Raises:
        InputError: an unknown option, metric, protocol or device, images that cannot be read, paired or scored, a
            missing metric under ``--strict``.
    """
    options = _options(argv)
    protocol = load_protocol(options.protocol)
    if options.metrics is not None:
        protocol = narrowed(protocol, options.metrics)
    scorer = Scorer(protocol, options.device, cache=open_cache() if options.cache else None, batch=options.batch)
    _can_score(scorer, options.ref is not None, options.strict)
    rows = score_folders(
        options.sr_dir,
        options.ref,
        scorer,
        scale=options.scale,
        pixel_limit=options.pixel_limit,
        progress=_counter(options.sr_dir),
    )
    results = summarise(rows, scorer)
    # A CSV on standard output is for another program; the table steps aside.
    shown = sys.stderr if options.csv == "-" else sys.stdout
    print(_table(results, scorer, rows), file=shown)
    _write_csv(options.csv, rows, [name for name in results if any(name in row.values for row in rows)])
    if options.out is not None:
        path = _write_record(options, scorer, rows, results)
        print(f"record: {printable(str(path))}", file=shown)
    return 0


def _options(argv: Sequence[str]) -> argparse.Namespace:
    options = _parser().parse_args(list(argv))
    if options.metrics is not None:
        options.metrics = [name for text in options.metrics for name in text.split(",") if name]
    if options.out is not None:
        if options.lq is not None and options.ref is None:
            raise InputError("--lq names the other half of --ref", remedy="add --ref GT_DIR")
        options.method = safe_name(options.method or Path(options.sr_dir).resolve().name, kind="method name")
        options.set = safe_name(options.set or _set_name(options), kind="test set name")
    return options


def _set_name(options: argparse.Namespace) -> str:
    """Of ``Set5/HR``, ``Set5``; of any other folder its own name."""
    folder = Path(options.ref or options.sr_dir).resolve()
    return folder.parent.name if folder.name.lower() in ("hr", "gt") else folder.name


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "srbench score",
        "Score a folder of finished images under a protocol, against the images of the same names.",
    )
    parser.add_argument("sr_dir", metavar="SR_DIR", help="folder of the images to score")
    parser.add_argument("--ref", metavar="GT_DIR", help="folder of the references; without it, no-reference metrics")
    parser.add_argument("--protocol", default="y219_crop4", help="name of a shipped protocol or path (%(default)s)")
    parser.add_argument(
        "--metrics",
        nargs="+",
        metavar="NAME",
        help="these metrics instead of the protocol's, or `all` there are; the rows are ranked on their own",
    )
    parser.add_argument("--strict", action="store_true", help="fail when a metric cannot be computed here")
    parser.add_argument("--csv", metavar="PATH", help="write the scores per image; - is standard output")
    parser.add_argument("--device", default="cpu", help="where metrics with networks run (%(default)s)")
    parser.add_argument(
        "--batch", type=_positive, metavar="N", help="images of one size per pass of a network (1 on a CPU, else 8)"
    )
    parser.add_argument(
        "--no-cache", dest="cache", action="store_false", help="compute every score, and remember none of them"
    )
    parser.add_argument("--pixel-limit", type=_positive, default=PIXEL_LIMIT, help="largest image taken (%(default)s)")
    parser.add_argument("--out", metavar="DIR", help="write a record there, for srbench leaderboard --records DIR")
    parser.add_argument(
        "--lq", metavar="LQ_DIR", help="with --out: the lq of --ref; the row then ranks with `srbench test` on this set"
    )
    parser.add_argument("--method", metavar="NAME", help="the row's name, with --out (the name of SR_DIR)")
    parser.add_argument("--set", metavar="NAME", help="the test set's name, with --out (the name of GT_DIR)")
    parser.add_argument(
        "--scale",
        type=_positive,
        metavar="N",
        help="magnification, 1 where none is given; also crops gt to a multiple of it where needed",
    )
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _can_score(scorer: Scorer, has_gt: bool, strict: bool) -> None:
    """Refuse before the first image is read, not after the last."""
    if strict:
        scorer.need_all("fetch what is missing, or leave --strict out")
    able = len(scorer.missing) < len(scorer.metrics)  # else the table says why of each, as for one of several
    if able and not scorer.expected(has_gt=has_gt):
        what = "every metric" + (" that can be computed here" if scorer.missing else "") + " needs a reference"
        raise InputError(what, where=scorer.protocol.name, remedy="add --ref GT_DIR")


def _counter(sr_dir: str) -> Callable[[ImageRow], None]:
    """Counts images on one line of a terminal; silent in pipes and logs."""
    numbers, total = itertools.count(1), len(list_images(sr_dir))

    def count(row: ImageRow) -> None:
        if sys.stderr.isatty():
            print(f"{next(numbers)} of {total} images scored", end="\r", file=sys.stderr, flush=True)

    return count


def _table(results: dict[str, MetricResult], scorer: Scorer, rows: Sequence[ImageRow]) -> str:
    """One line per metric: its value, or why there is none."""
    lines = [("metric", "mean", "95 % interval", "n"), *(_line(name, result) for name, result in results.items())]
    widths = [max(len(name) for name, *_ in lines), *(max(len(line[c]) for line in lines) for c in (1, 3))]
    reasons = {name: printable(result.missing) for name, result in results.items() if result.missing is not None}
    shown = [
        f"{name:<{widths[0]}}  {mean:>{widths[1]}}  {n:>{widths[2]}}  {reasons.get(name, interval)}".rstrip()
        for name, mean, interval, n in lines
    ]
    count = f"{len(rows)} image{'s' * (len(rows) != 1)}"
    title = f"protocol {scorer.protocol.name} version {scorer.protocol.version}, {count}"
    counts = f"{scorer.computed} computed, {scorer.recalled} remembered"
    missing = scorer.summary()
    said = [*remarks(results, scorer), *oddities(rows), *([missing] if missing else [])]
    return "\n".join([title, *shown, *said, counts])


def _line(name: str, result: MetricResult) -> tuple[str, str, str, str]:
    mean = "-" if result.mean is None else f"{result.mean:.4f}"
    known = result.ci_low is not None and result.ci_high is not None
    return name, mean, f"{result.ci_low:.4f} to {result.ci_high:.4f}" if known else "", str(result.n)


def _write_csv(target: str | None, rows: Sequence[ImageRow], names: Sequence[str]) -> None:
    if target is None:
        return
    text = rows_to_csv(rows, names)
    if target == "-":
        sys.stdout.write(text)
    else:
        write_whole(Path(target), text.encode())


def _write_record(
    options: argparse.Namespace, scorer: Scorer, rows: Sequence[ImageRow], results: dict[str, MetricResult]
) -> Path:
    protocol, scale = scorer.protocol, options.scale or 1
    # What came in takes the place of a configuration: other images are another run.
    config = fingerprint((path.stem, path) for path in list_images(options.sr_dir))
    inputs = {
        "method": options.method,
        "class_path": _CLASS_PATH,
        "config_sha256": config,
        "weights_sha256": None,
        "testset_fingerprint": _set_fingerprint(options, rows),
        "scale": scale,
        "protocol_sha256": protocol.sha256,
    }
    identity = run_fingerprint(**inputs)
    record = RunRecord(
        **inputs,
        schema=SCHEMA,
        stage=None,
        test_set=options.set,
        n=len(rows),
        lq_origin="unknown" if options.lq is None else "files",
        source="",
        licence="",
        protocol=protocol.name,
        protocol_version=protocol.version,
        metrics=results,
        cost=Cost(),
        environment=environment(threads=1, processes=1, device=options.device),
        srbench_version=__version__,
        git_revision=git_revision(),
        date=now(),
        fingerprint=identity,
        notes=(
            "finished images, scored by srbench score" + ("" if options.scale else "; their scale was not given"),
            *remarks(results, scorer),
            *oddities(rows),
            *(f"{row.name}: {note}" for row in rows for note in row.notes),
        ),
    )
    folder = record_folder(
        Path(options.out),
        protocol=protocol.name,
        test_set=options.set,
        scale=scale,
        method=options.method,
        fingerprint=identity,
    )
    return write_record(folder, record, rows)


def _set_fingerprint(options: argparse.Namespace, rows: Sequence[ImageRow]) -> str:
    """As :class:`srbench.datasets.TestSet` has it: over names and bytes of each gt, and of its lq where known.

    Without references nothing but the names is known of the set.
    """
    if options.ref is None:
        return hashlib.sha256(json.dumps([row.name for row in rows]).encode()).hexdigest()
    references = list_images(options.ref)
    if options.lq is None:
        return fingerprint((f"gt/{gt.stem}", gt) for gt in references)
    halves = pair(list_images(options.lq), references)
    return fingerprint(file for lq, gt in halves for file in ((f"gt/{gt.stem}", gt), (f"lq/{gt.stem}", lq)))
