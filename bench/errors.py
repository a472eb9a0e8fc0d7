"""The one exception that bad input raises: what is wrong, where, and how to mend it."""

from __future__ import annotations

from pathlib import Path


class InputError(ValueError):
    """Something the user gave cannot be used.

    The command line prints it as one line and exits with status 2; nothing that was written before is touched.

    Args:
        what: what is wrong, a sentence without a full stop.
        where: the file, folder, key or name it is about.
        remedy: what the user can do, a sentence without a full stop.

    >>> print(InputError("the image is truncated", where="a/b.png", remedy="copy it again"))
    a/b.png: the image is truncated; copy it again
    """

    def __init__(self, what: str, *, where: str | Path | None = None, remedy: str | None = None) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.remedy = remedy
        super().__init__(what)

    def __str__(self) -> str:
        line = self.what if self.where is None else f"{self.where}: {self.what}"
        return " ".join((line if self.remedy is None else f"{line}; {self.remedy}").split())

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process borders (data workers, spawned ranks); keyword arguments need help to be pickled.
        return _rebuild, (self.what, self.where, self.remedy)


def _rebuild(what: str, where: str | None, remedy: str | None) -> InputError:
    return InputError(what, where=where, remedy=remedy)


UNAVAILABLE = "unavailable: "
"""How the reason starts when a file or a package is absent: a later run that has it computes the metric after all."""


class MetricUnavailable(RuntimeError):
    """A metric cannot run here (weights or package missing); the record says so and gives this reason.

    Args:
        lost: the file or package, and in brackets the command that gets it.

    >>> print(MetricUnavailable("alexnet.pth (srbench weights fetch alexnet)"))
    unavailable: alexnet.pth (srbench weights fetch alexnet)
    """

    def __init__(self, lost: str) -> None:
        super().__init__(UNAVAILABLE + lost.removeprefix(UNAVAILABLE))
