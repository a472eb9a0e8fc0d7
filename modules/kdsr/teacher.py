"""Stage 1: the teacher, whose encoder sees gt beside lq."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from srbench.contracts import Batch
from srbench.errors import InputError
from srbench.module import SRModule
from srbench.modules.kdsr.layout import from_released, is_released
from srbench.modules.kdsr.net import KDSRTeacherNet
from srbench.modules.pixel import PixelSR
from srbench.modules.whole_image import refuse_tiles
from srbench.weights import load_state, load_strict


def load_network(net: nn.Module, path: str | Path, scale: int, key: str | None = None) -> None:
    """Loads a checkpoint of ours or a released file into a student's or a teacher's network, strictly.

    Raises:
        InputError: it belongs to another network.
    """
    state = load_state(path, key=key)
    load_strict(net, from_released(state, scale, path) if is_released(state) else state, where=path)


class WholeImages(SRModule):
    """A stage of KDSR: not tiled, and with the released layouts.

    Args:
        args: for the base class.
        kwargs: for the base class; ``tile`` is refused, as the encoder looks at the whole image.

    Raises:
        InputError: ``tile`` is given.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        refuse_tiles(kwargs.get("tile"), "KDSR", "it filters by the degradation of the whole image")
        super().__init__(*args, **kwargs)

    def load_upstream(self, path: str | Path) -> None:
        """Loads a released file or a checkpoint of ours, strictly.

        Raises:
            InputError: it is missing, or belongs to another network.
        """
        load_network(self._net, path, self.scale, self.weights_key)


class KDSRTeacher(WholeImages, PixelSR):
    """KDSR_T, trained by L1 with gt in sight; where it restores it looks at gt too, and its rows are not ranked.

    Args:
        features: channels.
        blocks: of the generator.
        encoder_blocks: of the encoder.
        scale: 2, 3, 4 or 8.
        kwargs: see :class:`~srbench.modules.pixel.PixelSR`; ``tile`` is refused.
    """

    stage = "teacher"

    def __init__(
        self, *, features: int = 128, blocks: int = 42, encoder_blocks: int = 6, scale: int = 4, **kwargs: Any
    ) -> None:
        super().__init__(KDSRTeacherNet(scale, features, blocks, encoder_blocks), scale=scale, **kwargs)

    @property
    def method(self) -> str:
        """``KDSR-T``."""
        return "KDSR-T"

    def setup(self, stage: str) -> None:
        """Lightning's hook: what it restores is an oracle's; what the student learns of it is not."""
        super().setup(stage)
        if stage in ("test", "predict"):
            self.stamp("oracle")

    def upscale(self, lq: Tensor) -> Tensor:
        """Refuses.

        Raises:
            InputError: always; it needs gt.
        """
        raise InputError("KDSR's teacher needs gt beside lq", where="model", remedy="test its student, KDSR")

    def warm_up(self, batch: Batch) -> None:
        """As the base class's, with gt."""
        part = Batch(lq=batch["lq"][..., :64, :64], name=batch["name"])
        if "gt" in batch:
            part["gt"] = batch["gt"][..., : 64 * self.scale, : 64 * self.scale]
        self.restore(part)

    def restore(self, batch: Batch) -> Tensor:
        """Sr for a batch, with its gt in sight.

        Raises:
            InputError: there is no gt.
        """
        if "gt" not in batch:
            return self.upscale(batch["lq"])
        return self.generate(batch).clamp(0.0, 1.0)

    def generate(self, batch: Batch) -> Tensor:
        """The network's output with gt in sight, not clamped."""
        return self.net(batch["lq"], batch["gt"])
