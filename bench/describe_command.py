"""``srbench describe``: the parts of a stage, their parameters and multiply-adds, on the meta device."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from srbench.arguments import read
from srbench.command_parser import CommandParser
from srbench.errors import InputError

if TYPE_CHECKING:
    from srbench.module import SRModule

_DESCRIPTION = """\
The parts of a stage, their parameters and multiply-adds, counted on the meta device: no weights are needed, and nothing
is computed."""


def run(argv: Sequence[str]) -> int:
    """Runs the command.

    Args:
        argv: its arguments: ``--config`` (stacks), ``--model`` and ``--model.*``, ``--size HxW``, ``--json``.

    Returns:
        The exit status, 0.

    Raises:
        InputError: a config, class, key or size is wrong, or there is no model.
    """
    parser = CommandParser(prog="srbench describe", description=_DESCRIPTION)
    parser.add_argument(
        "--config", action="append", default=[], metavar="NAME", help="a config; may be repeated, later wins"
    )
    parser.add_argument(
        "--size", default="256x256", metavar="HxW", help="lq size for multiply-adds (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.add_argument("--model", metavar="CLASS", help="a method's class; --model.init_args.KEY VALUE sets arguments")
    own, model_arguments = split_model(argv)
    options = parser.parse_args(own)
    described = describe(options.config, model_arguments, _size(options.size))
    print(json.dumps(described) if options.json else as_text(described, options.size))
    return 0


def describe(configs: Sequence[str], arguments: Sequence[str], size: tuple[int, int]) -> dict[str, Any]:
    """What ``--json`` prints.

    Args:
        configs: names or paths, the later winning.
        arguments: ``--model...`` arguments, which win over them.
        size: height and width of lq.

    Returns:
        ``params`` and ``macs_g`` (10^9 multiply-adds, None where the network cannot run without data) of the part
        ``net``, and per part its ``params``, how many of them are ``trainable`` and, for a list, its ``count``.

    Raises:
        InputError: see :func:`run`.
    """
    import torch  # --help and a config that does not exist answer without it

    from srbench.build import build_model
    from srbench.cost import part_table
    from srbench.keys import check_keys, require

    invocation = read(["describe", *(f"--config={name}" for name in configs), *arguments])
    invocation.stack = {"model": invocation.stack["model"]} if "model" in invocation.stack else {}
    check_keys(invocation)
    require(invocation, ["model"])
    with torch.device("meta"), warnings.catch_warnings():
        # A network whose shape lies in its checkpoint is loaded onto meta, where the values rightly go nowhere.
        warnings.filterwarnings("ignore", message=".*to a meta parameter.*")
        model = build_model(invocation.stack, invocation.rest)
        parts = model.parts()
    table = part_table(parts)
    net = table.get("net", {})
    return {"params": net.get("params"), "macs_g": _macs_g(model, size), "parts": table}


def _macs_g(model: SRModule, size: tuple[int, int]) -> float | None:
    from srbench.cost import count_macs

    net = model.parts().get("net")
    if net is None:
        return None
    try:
        return count_macs(net, (1, 3, *size)) / 1e9
    except (RuntimeError, NotImplementedError, TypeError):
        # It takes more than lq, looks at values, or has no forward (finished images): there is no figure to print.
        return None


def as_text(described: Mapping[str, Any], size: str) -> str:
    """The figures as a table for people."""
    rows = [("part", "parameters", "trainable", "frozen", f"multiply-adds ({size})")]
    for name, part in described["parts"].items():
        label = f"{name} (x{part['count']})" if "count" in part else name
        macs = described["macs_g"] if name == "net" else None
        figure = "-" if macs is None else f"{macs:.2f} G"
        frozen = part["params"] - part["trainable"]
        rows.append((label, f"{part['params']:,}", f"{part['trainable']:,}", f"{frozen:,}", figure))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    )


def split_model(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """This command's own arguments, and the ``--model`` ones with their values."""
    own: list[str] = []
    model: list[str] = []
    taking = own
    for token in argv:
        if token.startswith("--"):
            taking = model if re.match(r"--model($|[.=])", token) else own
        taking.append(token)
    return own, model


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9]\d{0,5})x([1-9]\d{0,5})", text)
    if match is None:
        raise InputError(f"'{text}' is no size", where="--size", remedy="write HEIGHTxWIDTH, e.g. 256x256")
    return int(match[1]), int(match[2])
