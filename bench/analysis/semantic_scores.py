"""The four scores of DeeDSR's semantic test: box and mask AP, panoptic quality, mean IoU; all in percent."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from srbench.analysis.semantic_truth import VOID, Panoptic, Picture, Truth
from srbench.errors import InputError

PQ = "Panoptic Segmentation (PQ)"
BOX_AP = "Object Detection (AP)"
MASK_AP = "Instance Segmentation (AP)"
MIOU = "Semantic Segmentation (mIOU)"
"""Named as the paper prints them."""


class Scorer:
    """Gathers what was seen in the images of a set and scores it against the truth.

    Args:
        truth: the annotations.
    """

    def __init__(self, truth: Truth) -> None:
        from torchmetrics.detection import PanopticQuality

        self.truth = truth
        self._objects: dict[str, list[dict[str, Any]]] = {}
        self._order = sorted(truth.categories)
        stuff = truth.categories.keys() - truth.things
        self._quality: Any = None
        if truth.has_panoptic:
            self._quality = PanopticQuality(truth.things, stuff, allow_unknown_preds_category=True)
        self._counts = np.zeros((len(self._order), len(self._order) + 1), np.int64)
        self._cut = False

    def add_objects(self, objects: Sequence[Mapping[str, Any]], kinds: Iterable[str]) -> None:
        """Objects seen in one or more images.

        Args:
            objects: entries of COCO's results format, in pixels of the scored size.
            kinds: what their finder gives, ``bbox``, ``segmentation`` or both, also where it found nothing.
        """
        for kind in kinds:
            # One form in an entry, from which COCO's program takes the form of all.
            other = {"bbox": "segmentation", "segmentation": "bbox"}[kind]
            held = [{k: v for k, v in entry.items() if k != other} for entry in objects if kind in entry]
            self._objects.setdefault(kind, []).extend(held)

    def add_panoptic(self, picture: Picture, seen: Panoptic) -> None:
        """The segments seen in an image.

        Crowds of the annotations count as unlabelled for the panoptic quality, which torchmetrics knows no crowds for
        (COCO's own program leaves only unmatched segments inside a crowd of their category out), and as their category
        for the mean IoU, as in detectron2.
        """
        import torch

        true, crowds = self.truth.panoptic(picture)
        crowded = np.isin(true.segments, sorted(crowds))
        wanted = np.stack([np.where(crowded, VOID, true.categories), true.segments], -1)
        given = np.stack([seen.categories, seen.segments], -1)
        self._quality.update(torch.from_numpy(given)[None], torch.from_numpy(wanted)[None])
        rows, columns = self._places(true.categories), self._places(seen.categories)
        said = rows < len(self._order)
        np.add.at(self._counts, (rows[said], columns[said]), 1)
        self._cut = True

    def values(self) -> dict[str, float]:
        """Printed name of the metric -> percent; only what something was added for.

        Raises:
            InputError: there is nothing to compare with.
        """
        found = {}
        if self._cut:
            found[PQ] = 100.0 * float(self._quality.compute())
        for kind, name in (("bbox", BOX_AP), ("segmentation", MASK_AP)):
            if kind in self._objects:
                found[name] = self._precision(self._objects[kind], kind[:4])
        if self._cut:
            found[MIOU] = 100.0 * self._mean_iou()
        return found

    def _places(self, categories: Any) -> Any:
        """Where categories stand among the sorted ids; one behind the last for what is none of them."""
        places = np.searchsorted(self._order, categories).clip(max=len(self._order) - 1)
        return np.where(np.asarray(self._order)[places] == categories, places, len(self._order))

    def _mean_iou(self) -> float:
        """Over the categories that the annotations have, as in detectron2."""
        common = np.diag(self._counts)
        true = self._counts.sum(1)
        either = true + self._counts[:, :-1].sum(0) - common
        present = true > 0
        return float((common[present] / either[present]).mean())

    def _precision(self, objects: list[dict[str, Any]], kind: str) -> float:
        """COCO's average precision over IoU 0.5 to 0.95."""
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        if not objects:
            return 0.0
        with contextlib.redirect_stdout(io.StringIO()):
            true = COCO()
            true.dataset = self.truth.instances
            true.createIndex()
            evaluation = COCOeval(true, true.loadRes(objects), kind)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        value = float(evaluation.stats[0])
        if value < 0:
            raise InputError("no object is annotated in these images", where="--annotations")
        return 100.0 * value
