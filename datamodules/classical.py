"""Classical: the six test sets with MATLAB bicubic lq on which the field has been compared for ten years."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from srbench.datamodule import SRDataModule, TestSet, TrainingSet
from srbench.datamodules.degradations.imresize import Border
from srbench.datamodules.layout import default_root
from srbench.datamodules.pairing import pair_files
from srbench.datamodules.published import classical
from srbench.datamodules.synthesis import matlab_bicubic
from srbench.errors import InputError
from srbench.naming import unknown_name

__all__ = ["Classical"]


@dataclass(frozen=True)
class Spec:
    """One test set as it is published.

    Attributes:
        count: number of images.
        source: where it comes from.
        licence: its terms.
        border: border rule of the MATLAB that made its published lq, for when lq has to be made.
        folders: what its folder may be called, beside its own name.
        gt: where gt lies in it, the first that exists.
        lq: where lq lies in it, the first that exists; ``{scale}`` stands for the scale.
    """

    count: int
    source: str
    licence: str
    border: Border = "symmetric"
    folders: tuple[str, ...] = ()
    gt: tuple[str, ...] = ("HR",)
    lq: tuple[str, ...] = ("LRbicx{scale}", "LR_bicubic/X{scale}")


# The widespread files of these come from SelfExSR, whose MATLAB of 2015 repeated the edge pixel.
_REPLICATE = ("Set14", "BSD100", "Urban100")

SETS = {
    layout.name: Spec(
        count=layout.counts[4] or 0,
        source=f"{layout.citation}; {layout.source}",
        licence=layout.licence,
        border="replicate" if layout.name in _REPLICATE else "symmetric",
        folders=layout.homes[1:],
        gt=layout.gt,
        lq=layout.lq,
    )
    for layout in classical.LAYOUTS
}


class Classical(SRDataModule):
    """Set5, Set14, BSD100, Urban100, Manga109 and DIV2K-val with MATLAB bicubic lq, to test on.

    Layout: ``root/<Set>/HR`` with lq in ``root/<Set>/LRbicx4`` or ``root/<Set>/LR_bicubic/X4``, named like their gt or
    with ``x4`` added. Checked on disk: the number of images, their partners, and that gt is ``scale`` times lq.

    Args:
        root: the folder that holds the sets; None takes ``$SRBENCH_DATA``, and ``data`` where that is not set.
        sets: names of the sets; None takes those that lie in ``root``.
        lq: ``files`` takes lq from disk, ``synthesise`` makes it from gt, ``auto`` makes it where there is no folder.
        crop_gt: crop a gt that is up to ``scale - 1`` pixels too large, as in the copy that came with EDSR.
        allow_partial: take a set with the wrong number of images; the record says so.
        kwargs: see :class:`SRDataModule`.

    Raises:
        InputError: a set is unknown.
    """

    def __init__(
        self,
        *,
        root: str | None = None,
        sets: list[str] | None = None,
        lq: Literal["auto", "files", "synthesise"] = "auto",
        crop_gt: bool = False,
        allow_partial: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.root = default_root(root)
        self.sets = sets
        self.lq = lq
        self.crop_gt = crop_gt
        self.allow_partial = allow_partial
        for name in sets or ():
            if name not in SETS:
                raise unknown_name("test set", name, SETS, where="data.init_args.sets")

    def training_set(self) -> TrainingSet:
        """Refuses: these sets are for testing only.

        Raises:
            InputError: always.
        """
        raise InputError(
            "Classical holds test sets only, nothing to train on",
            where="data",
            remedy="train on Photos, or on a folder of your own with ImagePairs",
        )

    def testing_sets(self) -> list[TestSet]:
        """The chosen sets in the order they were named."""
        chosen = self.sets if self.sets is not None else [name for name in SETS if self._home(name) is not None]
        if not chosen:
            raise InputError(
                "none of the classical test sets lies here",
                where=self.root,
                remedy=f"set data.init_args.root to the folder that holds them; known: {', '.join(SETS)}",
            )
        return [self._build(name, SETS[name]) for name in chosen]

    def _build(self, name: str, spec: Spec) -> TestSet:
        home = self._home(name)
        gt = None if home is None else _first(home, spec.gt)
        if home is None or gt is None:
            raise self._missing(name, spec)
        lq = self._lq_folder(home, name, spec)
        pairs = pair_files(gt, lq, self.scale)
        return self.files(
            name,
            pairs,
            matlab_bicubic(self.scale, spec.border) if lq is None else None,
            crop_gt=self.crop_gt,
            source=spec.source,
            licence=spec.licence,
            notes=self._counted(len(pairs), spec, gt),
        )

    def _home(self, name: str) -> Path | None:
        """The set's folder: the first of its possible names under root that holds gt."""
        spec = SETS[name]
        homes = [self.root / folder for folder in (name, *spec.folders)]
        return next((home for home in homes if _first(home, spec.gt) is not None), None)

    def _lq_folder(self, home: Path, name: str, spec: Spec) -> Path | None:
        if self.lq == "synthesise":
            return None
        folder = _first(home, [pattern.format(scale=self.scale) for pattern in spec.lq])
        if folder is None and self.lq == "files":
            raise self._missing(name, spec)
        return folder

    def _missing(self, name: str, spec: Spec) -> InputError:
        lq = " or ".join(f"{name}/{pattern.format(scale=self.scale)}" for pattern in spec.lq)
        need = f"{lq} (or set data.init_args.lq to auto to have lq made)" if self.lq == "files" else f"optionally {lq}"
        return InputError(
            f"the test set {name} is not here; expected under this folder: {name}/{spec.gt[0]} with {spec.count} "
            f"images and {need}",
            where=self.root,
            remedy=f"get it from {spec.source}, or set data.init_args.root",
        )

    def _counted(self, found: int, spec: Spec, gt: Path) -> tuple[str, ...]:
        if found == spec.count:
            return ()
        if self.allow_partial:
            return (f"{found} of {spec.count} images",)
        raise InputError(
            f"it holds {found} images, the published set has {spec.count}",
            where=gt,
            remedy="complete it, or set data.init_args.allow_partial to true",
        )


def _first(home: Path, folders: tuple[str, ...] | list[str]) -> Path | None:
    return next((home / folder for folder in folders if (home / folder).is_dir()), None)
