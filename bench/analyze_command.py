"""``srbench analyze``: the papers' figures for any method, as data (CSV) and picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from srbench.analysis import Analysis, analyses, analysis_module
from srbench.analysis.subject import device_named, load_subject, remarks
from srbench.command_parser import CommandParser
from srbench.counter import counter
from srbench.describe_command import split_model
from srbench.findings import write_findings
from srbench.naming import printable, unknown_name

_PAGE = """usage: srbench analyze NAME [arguments]

The papers' figures for any method: data (CSV) and a picture (PNG or SVG) into --out.

{names}

srbench analyze NAME --help explains one of them.
"""


def run(argv: Sequence[str]) -> int:
    """Runs one analysis and writes what it found.

    Args:
        argv: the analysis' name and its arguments.

    Returns:
        The exit status, 0.

    Raises:
        InputError: an unknown analysis, option, config or class; bad input of the analysis itself; an output folder
            that cannot be written.
    """
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_page())
        return 0
    name, *rest = argv
    if name not in analyses():
        raise unknown_name("analysis", name, analyses(), where="srbench analyze")
    chosen, module = analyses()[name], analysis_module(name)
    own, model_arguments = split_model(rest) if chosen.model else (list(rest), [])
    parser = _parser(chosen)
    module.arguments(parser)
    given = parser.parse_args(own)
    progress = counter("steps")
    lines: list[str] = []
    if chosen.model:
        model = load_subject(given.config, model_arguments, checkpoint=given.ckpt_path, device=given.device)
        found = module.run(given, model, progress)
        lines = remarks(model)
    else:
        device_named(given.device)
        found = module.run(given, progress)
    written = write_findings(found, Path(given.out or f"runs/analyze/{name}"))
    print("\n".join([*found.lines, *lines, *(printable(str(path)) for path in written)]))
    return 0


def _page() -> str:
    known = analyses()
    width = max(map(len, known), default=0)
    return _PAGE.format(names="\n".join(f"  {a.name:<{width}}  {a.summary}" for a in known.values()))


def _parser(chosen: Analysis) -> CommandParser:
    parser = CommandParser(f"srbench analyze {chosen.name}", chosen.summary[:1].upper() + chosen.summary[1:] + ".")
    parser.add_argument("--out", metavar="DIR", help=f"folder to write (runs/analyze/{chosen.name})")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 (%(default)s)")
    if chosen.model:
        parser.add_argument(
            "--config", action="append", default=[], metavar="NAME", help="a config; stacks, later wins"
        )
        parser.add_argument(
            "--model", metavar="CLASS", help="a method's class; --model.init_args.KEY VALUE its arguments"
        )
        parser.add_argument("--ckpt_path", metavar="FILE", help="a checkpoint of srbench fit, or last")
    return parser
