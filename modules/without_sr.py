"""WithoutSR: a stage that makes no sr, but what another stage takes."""

from __future__ import annotations

from typing import ClassVar, NoReturn

from torch import Tensor

from srbench.errors import InputError
from srbench.module import SRModule


class WithoutSR(SRModule):
    """A stage whose checkpoint is given to another one, which is tested.

    Attributes:
        what: it, in messages.
        remedy: what to do with its checkpoint, and how it is validated.
    """

    what: ClassVar[str] = "this stage"
    remedy: ClassVar[str] = "give its checkpoint to the next stage and test that; validate this one by srbench validate"

    def upscale(self, lq: Tensor) -> NoReturn:
        """There is none.

        Raises:
            InputError: always.
        """
        raise InputError(f"{self.what} makes no sr", where=type(self).__name__, remedy=self.remedy)
