"""What is seen in restored images is scored: perfect sight gives 100, a shifted one less; bad input one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from srbench.analysis.semantic_scores import BOX_AP, MASK_AP, MIOU, PQ, Scorer
from srbench.analysis.semantic_truth import VOID, Panoptic, Truth
from srbench.errors import InputError

from . import semantic_set as mini

ALL = {PQ, BOX_AP, MASK_AP, MIOU}


def values(rows: list[dict[str, str]], method: str) -> dict[str, float]:
    return {row["metric"]: float(row["value"]) for row in rows if row["method"] == method}


def test_perfect_predictions_give_100_and_shifted_ones_less(analyze: Any, tmp_path: Path) -> None:
    for name, shift in (("Perfect", 0), ("Near", 3), ("Far", 12)):
        (tmp_path / name).mkdir()
        mini.predict(tmp_path / name, shift=shift)
    rows = analyze(*(f"--predictions={name}={tmp_path / name}" for name in ("Perfect", "Near", "Far")))
    assert values(rows, "Perfect") == pytest.approx(dict.fromkeys(ALL, 100.0))
    near, far = values(rows, "Near"), values(rows, "Far")
    assert near.keys() == far.keys() == ALL
    assert all(far[metric] < near[metric] < 99 for metric in ALL), (near, far)
    assert rows[0].keys() == {"method", "variant", "metric", "value", "images", "side", "by"}
    assert {(row["images"], row["side"], row["by"]) for row in rows} == {("2", str(mini.SIDE), "predictions")}


def test_mean_iou_and_panoptic_quality_by_hand(laid: mini.Miniature) -> None:
    truth = Truth(None, laid.panoptic, side=mini.SIDE)
    scorer = Scorer(truth)
    for picture in truth.pictures.values():  # everything is taken for sky
        size = (mini.SIDE, mini.SIDE)
        scorer.add_panoptic(picture, Panoptic(np.full(size, 119), np.ones(size, np.int64)))
    sky = sum((truth.panoptic(p)[0].categories == 119).mean() for p in truth.pictures.values()) / 2
    assert scorer.values()[MIOU] == pytest.approx(100 * sky / 4)
    assert sky < 0.5  # so that the one segment matches none
    assert scorer.values()[PQ] == 0.0


def test_only_what_is_predicted_and_annotated_is_scored(laid: mini.Miniature, tmp_path: Path) -> None:
    from srbench.analysis.semantic_files import score_files

    boxes = tmp_path / "boxes"
    boxes.mkdir()
    mini.predict(boxes, masks=False)
    (boxes / "panoptic.json").unlink()
    truth = Truth(laid.instances, laid.panoptic, side=mini.SIDE)
    assert score_files(str(boxes), truth, lambda *_: None).values() == pytest.approx({BOX_AP: 100.0})
    (boxes / "detections.json").write_text("[]")
    assert score_files(str(boxes), truth, lambda *_: None).values() == {BOX_AP: 0.0, MASK_AP: 0.0}


def test_annotations_keep_their_own_size_where_asked(laid: mini.Miniature) -> None:
    own, stretched = Truth(laid.instances, laid.panoptic, side=0), Truth(laid.instances, laid.panoptic, side=mini.SIDE)
    [first, *_] = own.instances["annotations"]
    assert first["bbox"] == [2, 4, 10, 16]
    assert stretched.instances["annotations"][0]["bbox"] == [4, 8, 20, 32]
    assert stretched.instances["annotations"][0]["area"] == 640
    assert own.pictures["b"].size == (32, 64)
    assert own.panoptic(own.pictures["b"])[0].categories.shape == (32, 64)
    assert {p.size for p in stretched.pictures.values()} == {(mini.SIDE, mini.SIDE)}


def test_a_crowd_is_no_miss(tmp_path: Path) -> None:
    crowd = mini.Thing(17, 32, 40, 24, 16, crowd=True)
    laid = mini.lay(tmp_path, {**mini.THINGS, "a": [mini.THINGS["a"][0], crowd, mini.THINGS["a"][2]]})
    truth = Truth(laid.instances, laid.panoptic, side=mini.SIDE)
    scorer = Scorer(truth)
    for picture in truth.pictures.values():
        true, crowds = truth.panoptic(picture)
        left_out = np.isin(true.segments, sorted(crowds))
        scorer.add_panoptic(picture, Panoptic(np.where(left_out, VOID, true.categories), true.segments))
    assert scorer.values()[PQ] == pytest.approx(100.0)
    assert scorer.values()[MIOU] < 100.0


# ------------------------------------------------------------------------------------------------------- looking itself


class Sharp:
    """Sees each rectangle by its colour, as a detector would say it."""

    name = "sharp"

    def __init__(self, name: str, truth: Truth, **_: object) -> None:
        self.name = name

    def look(self, picture: Any, image: Any) -> Any:
        from srbench.analysis.semantic_vision import Seen

        objects = []
        for thing in mini.THINGS[picture.name]:
            if (image[mini.mask(thing) == 1] == (thing.category, 100, 200)).all():
                box = [float(v) for v in thing[1:5]]
                objects.append({"image_id": picture.id, "category_id": thing.category, "bbox": box, "score": 0.5})
        return Seen(objects, ("bbox",), None)


@pytest.fixture
def sharp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("srbench.analysis.semantic_vision.torchvision_detector", Sharp)


@pytest.mark.usefixtures("sharp")
def test_images_are_looked_at_and_paired_by_name(analyze: Any, tmp_path: Path) -> None:
    folder = mini.restore(tmp_path / "sr")
    rows = analyze("--images", f"Mine={folder}", "--detector", "sharp")
    assert values(rows, "Mine") == pytest.approx({BOX_AP: 100.0})
    with Image.open(tmp_path / "sr" / "a.png") as image:
        image.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(tmp_path / "sr" / "a.png")
    assert values(analyze("--images", f"Mine={folder}", "--detector", "sharp"), "Mine")[BOX_AP] < 60


@pytest.mark.usefixtures("sharp")
def test_a_part_of_the_set_is_scored_when_asked(analyze: Any, tmp_path: Path, capsys: Any) -> None:
    folder = mini.restore(tmp_path / "sr")
    (tmp_path / "sr" / "b.png").unlink()
    given = ("--images", f"Mine={folder}", "--detector", "sharp")
    analyze(*given, status=2)
    assert "1 of 2 annotated images are missing (first b)" in capsys.readouterr().err
    [row] = analyze(*given, "--partial")
    assert float(row["value"]) == pytest.approx(100.0)
    assert row["images"] == "1"


@pytest.mark.usefixtures("sharp")
def test_untrained_figures_bear_another_name(analyze: Any, tmp_path: Path) -> None:
    rows = analyze("--images", f"Mine={mini.restore(tmp_path / 'sr')}", "--detector", "sharp", "--random")
    assert {row["method"] for row in rows} == {"Mine (untrained detector)"}


def test_a_detector_of_torchvision(laid: mini.Miniature, tmp_path: Path) -> None:
    import torch
    from torchvision.models import detection
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

    from srbench.analysis.semantic_vision import TorchvisionDetector

    torch.manual_seed(0)
    backbone = resnet_fpn_backbone(backbone_name="resnet18", weights=None, trainable_layers=5)
    net = detection.MaskRCNN(backbone, num_classes=91, min_size=64, max_size=64, box_score_thresh=0.0)
    net.roi_heads.score_thresh, net.roi_heads.detections_per_img = 0.0, 20
    truth = Truth(laid.instances, None, side=mini.SIDE)
    detector = TorchvisionDetector("tiny", net, truth, "cpu")
    image = np.random.default_rng(0).integers(0, 256, (mini.SIDE, mini.SIDE, 3), np.uint8)
    seen = detector.look(truth.pictures["a"], image)
    assert seen.kinds == ("bbox", "segmentation")
    assert seen.panoptic is None
    assert {entry["category_id"] for entry in seen.objects} <= {1, 17}
    assert all(tuple(entry["segmentation"]["size"]) == (mini.SIDE, mini.SIDE) for entry in seen.objects)
    detector.known = set(range(91))
    everything = detector.look(truth.pictures["a"], image).objects
    assert len(everything) > len(seen.objects)
    assert all(entry["image_id"] == 7 and min(entry["bbox"][2:]) >= 0 for entry in everything)


def _labels() -> dict[int, str]:
    return {0: "N/A", 1: "Sky", 2: "person", 3: "LABEL_3"}


def test_labels_are_matched_by_name() -> None:
    from srbench.analysis.semantic_vision import _categories

    known = {c["id"]: c["name"] for c in mini.CATEGORIES}
    assert _categories(_labels(), known) == {1: 119, 2: 1}  # type: ignore[arg-type]
    assert _categories({17: "LABEL_17", 18: "LABEL_18"}, known) == {17: 17}  # type: ignore[arg-type]


def test_a_detector_of_transformers(laid: mini.Miniature, tmp_path: Path) -> None:
    from transformers import YolosConfig, YolosForObjectDetection, YolosImageProcessor

    make: Any = YolosConfig
    from srbench.analysis.semantic_vision import transformers_vision

    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    more = {"image_size": [64, 64], "patch_size": 16, "num_detection_tokens": 5, "id2label": _labels()}
    YolosForObjectDetection(make(**small, **more)).save_pretrained(tmp_path / "yolos")
    YolosImageProcessor(size={"height": 64, "width": 64}).save_pretrained(tmp_path / "yolos")
    truth = Truth(laid.instances, laid.panoptic, side=mini.SIDE)
    image = np.zeros((mini.SIDE, mini.SIDE, 3), np.uint8)
    vision = transformers_vision(str(tmp_path / "yolos"), truth)
    seen = vision.look(truth.pictures["b"], image)
    assert (seen.kinds, seen.panoptic) == (("bbox",), None)
    assert {entry["category_id"] for entry in seen.objects} <= {1, 119}
    assert transformers_vision(str(tmp_path / "yolos"), truth, random=True).look(truth.pictures["b"], image).kinds


def test_a_panoptic_segmenter_of_transformers(laid: mini.Miniature, tmp_path: Path) -> None:
    import torch
    from transformers import (
        Mask2FormerConfig,
        Mask2FormerForUniversalSegmentation,
        Mask2FormerImageProcessor,
        SwinConfig,
    )

    from srbench.analysis.semantic_vision import transformers_vision

    backbone: Any = SwinConfig
    swin = backbone(
        image_size=64, embed_dim=8, depths=[1] * 4, num_heads=[1] * 4, window_size=2,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = Mask2FormerConfig(
        backbone_config=swin, feature_size=32, mask_feature_size=32, hidden_dim=32, encoder_layers=1, decoder_layers=2,
        encoder_feedforward_dim=16, dim_feedforward=16, num_attention_heads=2, num_queries=4, id2label=_labels(),
    )  # fmt: skip
    Mask2FormerForUniversalSegmentation(config).save_pretrained(tmp_path / "m2f")
    Mask2FormerImageProcessor(size={"height": 64, "width": 64}).save_pretrained(tmp_path / "m2f")
    truth = Truth(None, laid.panoptic, side=mini.SIDE)
    vision = transformers_vision(str(tmp_path / "m2f"), truth)
    seen = vision.look(truth.pictures["a"], np.zeros((mini.SIDE, mini.SIDE, 3), np.uint8))
    assert (seen.objects, seen.kinds) == ([], ())
    assert seen.panoptic is not None
    assert seen.panoptic.categories.shape == (mini.SIDE, mini.SIDE)
    assert vision.stuff == {1}
    said = {
        "segmentation": torch.tensor([[-1, 0], [4, 5]]),
        "segments_info": [{"id": 0, "label_id": 1}, {"id": 4, "label_id": 2}, {"id": 5, "label_id": 0}],
    }
    made = vision._segmented(said)
    assert made.categories.tolist() == [[VOID, 119], [1, VOID]]
    assert (made.segments > 0).tolist() == [[False, True], [True, False]]


def test_trained_weights_go_into_torchvisions_own_model(laid: mini.Miniature, tmp_path: Path) -> None:
    import torch
    from torchvision import models

    from srbench.analysis.semantic_vision import torchvision_detector

    name = "ssdlite320_mobilenet_v3_large"
    net = models.get_model(name, weights=None, weights_backbone=None)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.5)
    torch.save(net.state_dict(), tmp_path / "net.pth")
    truth = Truth(laid.instances, None, side=mini.SIDE)
    found = torchvision_detector(name, truth, weights=str(tmp_path / "net.pth"))
    assert all(map(torch.equal, found.net.parameters(), net.parameters()))
    torch.save({"conv.weight": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"other\.pth: it is another network"):
        torchvision_detector(name, truth, weights=str(tmp_path / "other.pth"))


def test_its_rows_go_into_the_papers_table(analyze: Any, tmp_path: Path) -> None:
    from srbench.published import load_published
    from srbench.table_command import _outside
    from srbench.tables import Terms, load_table, make_plan, table_values

    (tmp_path / "p").mkdir()
    analyze(f"--predictions=DeeDSR={mini.predict(tmp_path / 'p')}")
    spec = load_table("deedsr/2")
    assert spec.outside.keys() == ALL
    plan = make_plan(spec, [], Terms(tmp_path / "records", tmp_path / "data", (), {}, False))
    figures = _outside(tmp_path / "out" / "semantic.csv")
    values = table_values(plan, load_published(["deedsr"]), {}, {}, figures)
    measured = {v.metric: v.measured.mean for v in values if v.measured is not None}
    assert measured == pytest.approx(dict.fromkeys(ALL, 100.0))
