from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import srbench.datamodules as datamodules
from srbench.datamodules import Images
from srbench.errors import InputError


def image(path: Path, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(256, size=(5, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


def test_a_folder_without_reference(tmp_path: Path) -> None:
    image(tmp_path / "phone/b.png", "L")
    image(tmp_path / "phone/a.jpg")
    (held,) = Images(root=str(tmp_path / "phone"), source="my phone").test_sets
    assert held.names == ["a", "b"]
    assert (held.info.name, held.info.has_gt, held.info.lq_origin, held.info.source) == (
        "phone",
        False,
        "files",
        "my phone",
    )
    assert set(held[1]) == {"lq", "name", "notes"}
    assert held[1]["lq"].shape == (3, 5, 7)
    assert held[1]["notes"] == ("grey image made RGB",)


def test_a_name_of_its_own(tmp_path: Path) -> None:
    image(tmp_path / "LR/a.png")
    assert Images(root=str(tmp_path / "LR"), name="street").test_sets[0].name == "street"
    assert Images(root=str(tmp_path / "LR")).test_sets[0].name == tmp_path.name


def test_bad_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"set data.init_args.root"):
        Images().setup("predict")
    with pytest.raises(InputError, match="nowhere"):
        Images(root=str(tmp_path / "nowhere")).setup("predict")
    image(tmp_path / "two/a.png")
    image(tmp_path / "two/a.jpg")
    with pytest.raises(InputError, match=r"a.jpg and a.png have the same name"):
        Images(root=str(tmp_path / "two")).setup("predict")


def test_there_is_nothing_to_train_on(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Images has no images to train on"):
        Images(root=str(tmp_path)).setup("fit")


# --------------------------------------------------------------------------------------------------- the room itself


def test_every_data_set_is_found_by_name() -> None:
    assert {"Classical", "ImagePairs", "Images", "Photos"} <= set(dir(datamodules))
    for name in dir(datamodules):
        assert getattr(datamodules, name).__name__ == name


def test_an_unknown_data_set_gets_the_nearest() -> None:
    with pytest.raises(AttributeError, match="has no 'Clasical'; did you mean 'Classical'"):
        _ = datamodules.Clasical


def test_the_bare_room_cannot_be_imported() -> None:
    file = Path(datamodules.__file__)
    with pytest.raises(ImportError, match=r"import srbench.datamodules"):
        exec(compile(file.read_text(), str(file), "exec"), {"__name__": "datamodules", "__file__": str(file)})


def test_real_photographs_without_reference(shared: Path) -> None:
    (held,) = Images(root=str(shared / "data/RealSRSet")).test_sets
    assert (held.info.name, held.info.count) == ("RealSRSet", 25)
    assert held[0]["lq"].shape[0] == 3
