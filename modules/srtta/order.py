"""Which images learning is carried over, and what must hold so that it can be."""

from __future__ import annotations

from typing import Literal, get_args

from srbench.errors import InputError

Reset = Literal["image", "domain", "lifelong"]

_WHERE = "model.init_args.reset"


class Order:
    """Follows a run from image to image.

    Args:
        reset: ``image``, ``domain`` or ``lifelong``; see :class:`~srbench.modules.srtta.SRTTA`.

    Raises:
        InputError: it is none of them.
    """

    def __init__(self, reset: Reset) -> None:
        if reset not in get_args(Reset):
            remedy = f"use {', '.join(get_args(Reset))}"
            raise InputError(f"there is no reset {reset!r}", where=_WHERE, remedy=remedy)
        self.reset: Reset = reset
        self._set: int | None = None

    def start(self, processes: int) -> None:
        """A run of so many processes begins.

        Raises:
            InputError: there are several, each of which would learn from images of its own.
        """
        if self.reset != "image" and processes > 1:
            raise InputError(
                f"with reset {self.reset} every image depends on those before it, and {processes} processes would each "
                "learn from their own",
                where=_WHERE,
                remedy="use one process (--trainer.devices 1), or reset image",
            )
        self._set = None

    def begins(self, test_set: int, is_first: bool) -> bool:
        """An image is next.

        Args:
            test_set: the number of its set.
            is_first: whether it is its set's first.

        Returns:
            Whether learning starts anew with its set.

        Raises:
            InputError: those before it are scored already, and what was learned from them is lost.
        """
        if self.reset == "image" or test_set == self._set:
            return False
        skipped = test_set > 0 if self._set is None else test_set > self._set + 1
        if not is_first or (self.reset == "lifelong" and skipped):
            raise InputError(
                "images before this one are scored already, and what was learned from them is not kept",
                where=_WHERE,
                remedy="start over with --benchmark.force true, or use reset image",
            )
        self._set = test_set
        return self.reset == "domain"
