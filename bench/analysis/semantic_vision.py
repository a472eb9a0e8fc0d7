"""Detectors and segmenters of torchvision and transformers, asked what they see in an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from srbench import weight_files
from srbench.analysis.semantic_truth import VOID, Panoptic, Picture, Truth
from srbench.errors import InputError, MetricUnavailable
from srbench.images import Pixels, to_tensor
from srbench.naming import unknown_name
from srbench.weights import load_state


class Seen(NamedTuple):
    """What is seen in an image.

    Attributes:
        objects: entries of COCO's results format.
        kinds: what these have, of ``bbox`` and ``segmentation``; empty when objects are not looked for.
        panoptic: the segments; None when it does not segment.
    """

    objects: list[dict[str, Any]]
    kinds: tuple[str, ...]
    panoptic: Panoptic | None


class Vision(Protocol):
    """A network that looks at images."""

    name: str

    def look(self, picture: Picture, image: Pixels) -> Seen:
        """What is seen in ``image`` (H,W,3) uint8."""


class TorchvisionDetector:
    """A detector of torchvision; its labels are the ids of COCO's categories.

    Args:
        name: the model's.
        net: the model.
        truth: whose categories count.
        device: where it runs.
    """

    def __init__(self, name: str, net: Any, truth: Truth, device: str) -> None:
        self.name, self.device = name, device
        self.net = net.eval().requires_grad_(False).to(device)
        self.known = set(truth.categories)

    def look(self, picture: Picture, image: Pixels) -> Seen:
        """As in :class:`Vision`."""
        import torch

        with torch.inference_mode():
            [found] = self.net([to_tensor(image).to(self.device)])
        held = {key: value.cpu().numpy() for key, value in found.items()}
        objects = _objects(picture, held["boxes"], held["labels"], held["scores"])
        if "masks" not in held:
            return Seen([o for o in objects if o["category_id"] in self.known], ("bbox",), None)
        for entry, mask in zip(objects, held["masks"], strict=True):
            entry["segmentation"] = _packed(mask[0] > 0.5)
        return Seen([o for o in objects if o["category_id"] in self.known], ("bbox", "segmentation"), None)


class TransformersVision:
    """A model of transformers for object detection or panoptic segmentation.

    Args:
        name: for messages and tables.
        net: the model.
        processor: its image processor.
        truth: whose categories count; labels are matched by name, and by number where they have none.
        device: where it runs.

    Raises:
        InputError: none of its labels is a category.
    """

    def __init__(self, name: str, net: Any, processor: Any, truth: Truth, device: str) -> None:
        self.name, self.device, self.processor = name, device, processor
        self.net = net.eval().requires_grad_(False).to(device)
        self.categories = _categories(net.config.id2label, truth.categories)
        self.stuff = {label for label, category in self.categories.items() if category not in truth.things}
        self.segments = hasattr(processor, "post_process_panoptic_segmentation") and not _detects(net.config)
        if not self.categories:
            raise InputError("none of its labels is a category of the annotations", where=name)

    def look(self, picture: Picture, image: Pixels) -> Seen:
        """As in :class:`Vision`."""
        import torch

        inputs = self.processor(images=image, return_tensors="pt").to(self.device)
        with torch.inference_mode():
            out = self.net(**inputs)
        size = [image.shape[:2]]
        if self.segments:
            [found] = self.processor.post_process_panoptic_segmentation(
                out, target_sizes=size, label_ids_to_fuse=self.stuff
            )
            return Seen([], (), self._segmented(found))
        [found] = self.processor.post_process_object_detection(out, threshold=0.0, target_sizes=size)
        labels = [self.categories.get(int(label), VOID) for label in found["labels"]]
        objects = _objects(picture, found["boxes"].cpu().numpy(), labels, found["scores"].cpu().numpy())
        return Seen([o for o in objects if o["category_id"] != VOID], ("bbox",), None)

    def _segmented(self, found: Mapping[str, Any]) -> Panoptic:
        segments = found["segmentation"].cpu().numpy().astype(np.int64)
        categories = np.full_like(segments, VOID)
        for entry in found["segments_info"]:
            categories[segments == entry["id"]] = self.categories.get(int(entry["label_id"]), VOID)
        # Segments are counted from 0 in some releases and from 1 in others.
        return Panoptic(categories, np.where(categories == VOID, 0, segments + 1))


def torchvision_detector(
    name: str, truth: Truth, *, weights: str | None = None, random: bool = False, device: str = "cpu"
) -> TorchvisionDetector:
    """A detector of torchvision.

    Args:
        name: such as ``maskrcnn_resnet50_fpn``, also of its weights in the catalogue.
        truth: the annotations.
        weights: its file; None looks for the catalogue's.
        random: leave it untrained.
        device: where it runs.

    Raises:
        InputError: there is no such model, or its weights are not here or another's.
    """
    from torchvision import models

    known = models.list_models(module=models.detection)
    if name not in known:
        raise unknown_name("detector of torchvision", name, known, where="--detector")
    if random:
        net = _seeded(lambda: models.get_model(name, weights=None, weights_backbone=None))
    else:
        net = _trained(name, weights)
    return TorchvisionDetector(name, net, truth, device)


def _trained(name: str, weights: str | None) -> Any:
    """The model as torchvision builds it for its published weights, which changes its normalisation too."""
    from unittest.mock import patch

    from torchvision import models

    path = weights or _catalogued(name)
    state = load_state(path)
    # Torchvision would fetch the file, and read it without care for what its pickle does.
    with patch.object(models.WeightsEnum, "get_state_dict", lambda *_, **__: state):
        try:
            return models.get_model(name, weights="DEFAULT")
        except RuntimeError as error:
            first = " ".join(str(error).split())[:160]
            raise InputError(f"it is another network ({first})", where=path, remedy="give its own file") from error


def transformers_vision(folder: str, truth: Truth, *, random: bool = False, device: str = "cpu") -> TransformersVision:
    """A model that transformers saved: a config, weights, and the preprocessor's config.

    Raises:
        InputError: the folder is none, or transformers is not installed.
    """
    try:
        import transformers
    except ImportError as error:
        remedy = "pip install 'srbench[diffusion]'"
        raise InputError("transformers is not installed", where="--transformers", remedy=remedy) from error
    if not (Path(folder) / "config.json").is_file():
        raise InputError("there is no config.json", where=folder, remedy="give a folder that transformers saved")
    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        detector, segmenter = transformers.AutoModelForObjectDetection, transformers.AutoModelForUniversalSegmentation
        auto = detector if _detects(config) else segmenter
        net = (
            _seeded(lambda: auto.from_config(config)) if random else auto.from_pretrained(folder, local_files_only=True)
        )
        processor = transformers.AutoImageProcessor.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, ImportError) as error:
        first = str(error).strip().partition("\n")[0]
        raise InputError(
            f"transformers cannot load it ({first})", where=folder, remedy="copy it again whole"
        ) from error
    return TransformersVision(Path(folder).name, net, processor, truth, device)


def _seeded(make: Callable[[], Any]) -> Any:
    """What ``make`` makes with the same random weights at every call."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make()


def _detects(config: Any) -> bool:
    return any(name.endswith("ForObjectDetection") for name in config.architectures or ())


def _catalogued(name: str) -> str:
    if name not in weight_files.names():
        raise InputError("the catalogue has no weights of it", where=name, remedy="give a file by --weights")
    try:
        return str(weight_files.need(name))
    except MetricUnavailable as error:
        remedy = "or give a file by --weights, or try untrained by --random"
        raise InputError(str(error), where=name, remedy=remedy) from None


def _categories(labels: Mapping[int, str], categories: Mapping[int, str]) -> dict[int, int]:
    """A model's labels -> ids of categories, by name; by number where a label is only a number."""
    by_name = {name.casefold(): number for number, name in categories.items()}
    found = {}
    for number, name in labels.items():
        if name.casefold() in by_name:
            found[int(number)] = by_name[name.casefold()]
        elif name == f"LABEL_{number}" and int(number) in categories:
            found[int(number)] = int(number)
    return found


def _objects(picture: Picture, boxes: Any, labels: Any, scores: Any) -> list[dict[str, Any]]:
    """Entries from ``boxes`` (N,4) of corners."""
    made = []
    for (left, top, right, bottom), label, score in zip(boxes.tolist(), labels, scores, strict=True):
        box = [left, top, right - left, bottom - top]
        made.append({"image_id": picture.id, "category_id": int(label), "bbox": box, "score": float(score)})
    return made


def _packed(mask: Any) -> Any:
    from pycocotools import mask as packing

    return packing.encode(np.asfortranarray(mask.astype(np.uint8)))
