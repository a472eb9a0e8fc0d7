from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from srbench.contracts import Batch
from srbench.errors import InputError
from srbench.images import Pixels, write_png
from srbench.modules import ImageFolder


def picture(seed: int, height: int = 16, width: int = 24) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i, name in enumerate(("a", "b_x4", "c")):
        write_png(tmp_path / f"{name}.png", picture(i))
    return tmp_path


def batch(*names: str, height: int = 4, width: int = 6) -> Batch:
    return {"lq": torch.zeros(len(names), 3, height, width), "name": list(names)}


def sets(**names: list[str]) -> list[SimpleNamespace]:
    return [SimpleNamespace(name=set_name, names=list(of_set)) for set_name, of_set in names.items()]


def attach(module: ImageFolder, test_sets: list[SimpleNamespace]) -> ImageFolder:
    module._trainer = SimpleNamespace(datamodule=SimpleNamespace(test_sets=test_sets, val_sets=test_sets))
    return module


def test_images_are_found_by_name(folder: Path) -> None:
    module = ImageFolder(root=str(folder), name="Mine")
    sr = module.restore(batch("c", "b"))
    assert torch.equal((sr * 255).round().to(torch.uint8)[0], torch.from_numpy(picture(2)).permute(2, 0, 1))
    assert torch.equal((sr * 255).round().to(torch.uint8)[1], torch.from_numpy(picture(1)).permute(2, 0, 1))
    assert module.method == "Mine"
    assert module.marks == ()
    assert module.weights_sha256 is None


def test_an_own_suffix(tmp_path: Path) -> None:
    write_png(tmp_path / "a_best.png", picture(0))
    assert ImageFolder(root=str(tmp_path), name="m", suffix="_best").restore(batch("a")).shape == (1, 3, 16, 24)
    with pytest.raises(InputError, match=r"first is a \(looked for a, ax4, a_x4"):
        ImageFolder(root=str(tmp_path), name="m").restore(batch("a"))


def test_the_folder_must_be_complete(folder: Path) -> None:
    module = attach(ImageFolder(root=str(folder), name="m"), sets(Own=["a", "b", "c"]))
    module.on_test_start()
    module.complete(sets(Own=["a", "b", "c"]))
    with pytest.raises(InputError, match="2 images are missing, the first is d"):
        module.complete(sets(Own=["a", "b", "c", "d", "e"]))
    with pytest.raises(InputError, match=r"1 images belong to no image of the set, the first is c\.png"):
        module.complete(sets(Own=["a", "b"]))


def test_a_folder_per_set(folder: Path) -> None:
    (folder / "Second").mkdir()
    write_png(folder / "Second" / "a.png", picture(9))
    module = attach(ImageFolder(root=str(folder), name="m"), sets(First=["a", "b", "c"], Second=["a"]))
    module.on_test_start()
    first = module.test_step(batch("a"), 0, 0)["sr"]
    second = module.test_step(batch("a"), 0, 1)["sr"]
    assert torch.equal((second[0] * 255).round().to(torch.uint8), torch.from_numpy(picture(9)).permute(2, 0, 1))
    assert not torch.equal(first, second)


def test_one_folder_cannot_serve_a_name_of_two_sets(folder: Path) -> None:
    with pytest.raises(InputError, match="several sets have an image 'a'"):
        ImageFolder(root=str(folder), name="m").complete(sets(First=["a", "b", "c"], Second=["a"]))


def test_another_size_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match=r"a\.png: it is 24x16 pixels, x4 of its lq is 20x16"):
        ImageFolder(root=str(folder), name="m").restore(batch("a", width=5))


def test_two_files_of_one_name_are_refused(folder: Path) -> None:
    from PIL import Image

    Image.fromarray(picture(0)).save(folder / "a.bmp")
    with pytest.raises(InputError, match=r"a\.bmp and a\.png have the same name"):
        ImageFolder(root=str(folder), name="m").restore(batch("a"))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    module = ImageFolder(root=str(tmp_path / "nowhere"), name="m")
    for call in (module.prepare, lambda: module.restore(batch("a"))):
        with pytest.raises(InputError, match="nowhere: cannot list the folder"):
            call()


def test_other_pixels_are_another_configuration(folder: Path) -> None:
    def content() -> str:
        module = ImageFolder(root=str(folder), name="m")
        module.prepare()
        return module.files["images"]

    first = content()
    assert content() == first
    write_png(folder / "c.png", picture(77))
    assert content() != first
    assert "root" in ImageFolder.unhashed


def test_it_neither_trains_nor_upscales(folder: Path) -> None:
    module = ImageFolder(root=str(folder), name="m")
    with pytest.raises(InputError, match="nothing to train"):
        module.configure_optimizers()
    with pytest.raises(InputError, match="makes no images"):
        module.upscale(torch.zeros(1, 3, 4, 4))
    assert sum(p.numel() for p in module.parts()["net"].parameters()) == 0
