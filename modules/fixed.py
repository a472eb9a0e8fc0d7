"""FixedSR: a method that is tested as it is; there is nothing to train."""

from __future__ import annotations

from typing import NoReturn

from srbench.errors import InputError
from srbench.module import SRModule


class FixedSR(SRModule):
    """A method without training; ``srbench fit`` is refused in one line."""

    def training_step(self, *args: object, **kwargs: object) -> NoReturn:
        """Refuses.

        Raises:
            InputError: always.
        """
        raise InputError(
            f"{type(self).__name__} has nothing to train",
            where="fit",
            remedy="use srbench test, or a method with a fit.yaml",
        )

    def configure_optimizers(self) -> NoReturn:
        """Refuses, as :meth:`training_step`; Lightning asks for this one first.

        Raises:
            InputError: always.
        """
        self.training_step()
