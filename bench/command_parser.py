"""Argument parsing of the small commands: errors are one line and suggest the nearest valid name."""

from __future__ import annotations

import argparse
import re
from typing import NoReturn

from srbench.errors import InputError
from srbench.naming import nearest, unknown_name


class _Formatter(argparse.RawDescriptionHelpFormatter, argparse.HelpFormatter):
    """Keeps the line breaks of a description that has some."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" in text.strip():
            return super()._fill_text(text, width, indent)
        return argparse.HelpFormatter._fill_text(self, text, width, indent)


class CommandParser(argparse.ArgumentParser):
    """argparse without abbreviations, whose errors are :class:`~srbench.errors.InputError`."""

    def __init__(self, prog: str, description: str | None) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False, formatter_class=_Formatter)

    def error(self, message: str) -> NoReturn:
        """Raises instead of exiting; an unknown option is told its nearest neighbour."""
        unknown = re.match(r"unrecognized arguments: (\S+)", message)
        if unknown:
            name = unknown[1].split("=")[0]
            hint = nearest(name, self._option_string_actions)
            raise InputError(
                f"unknown argument '{name}'",
                where=self.prog,
                remedy=f"did you mean '{hint}'?" if hint else "see --help",
            )
        choice = re.match(r"argument (\S+): invalid choice: '([^']*)' \(choose from (.*)\)", message)
        if choice:
            raise unknown_name(choice[1], choice[2], re.findall(r"[\w.-]+", choice[3]), where=self.prog)
        raise InputError(message, where=self.prog, remedy=f"see {self.prog} --help")
