from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from srbench.datamodules import ImagePairs, Triples
from srbench.datamodules.degradations import RealESRGAN
from srbench.errors import InputError
from srbench.sampling import Draw


def folder(root: Path, side: int, names: str = "a b c", seed: int = 0) -> str:
    root.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names.split()):
        pixels = np.random.default_rng((seed, i)).integers(256, size=(side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{name}.png")
    return str(root)


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, str]:
    """Three images: gt of 48, lq of 12, references that are gt's negatives."""
    held = {"gt": folder(tmp_path / "gt", 48), "lq": folder(tmp_path / "lq", 12, seed=1)}
    (tmp_path / "ref").mkdir()
    for file in Path(held["gt"]).iterdir():
        Image.fromarray(255 - np.asarray(Image.open(file))).save(tmp_path / "ref" / file.name)
    return {**held, "ref": str(tmp_path / "ref")}


def training(folders: dict[str, str], **more: Any) -> dict[str, Any]:
    return {**{f"train_{kind}": path for kind, path in folders.items()}, "patch_size": 16, "seed": 3, **more}


def test_references_are_cut_and_turned_with_gt(folders: dict[str, str]) -> None:
    (batch,) = Triples(**training(folders, batch_size=3)).train_dataloader()
    assert batch["ref"].shape == batch["gt"].shape == (3, 3, 16, 16)
    assert torch.allclose(batch["ref"], 1 - batch["gt"], atol=1e-6)
    plain = training(folders)
    del plain["train_ref"]
    [pairs] = ImagePairs(**plain, batch_size=3).train_dataloader()
    assert torch.equal(pairs["lq"], batch["lq"])
    assert torch.equal(pairs["gt"], batch["gt"])
    assert "ref" not in pairs


def test_several_folders_keep_their_order(folders: dict[str, str], tmp_path: Path) -> None:
    more = {"gt": folder(tmp_path / "2/gt", 48, "c d", 7), "lq": folder(tmp_path / "2/lq", 12, "c d")}
    more["ref"] = folder(tmp_path / "2/ref", 48, "c d", 9)
    data = Triples(**training({k: [folders[k], more[k]] for k in folders}))  # type: ignore[misc]
    held = data.training_set()
    assert [pair.name for pair in held.pairs] == ["a", "b", "c", "c", "d"]
    whole = Triples(**training({k: [folders[k], more[k]] for k in folders}, augment=False, patch_size=48))  # type: ignore[misc]
    last = whole.training_set()[Draw(4, 0, 0)]["ref"]
    assert np.array_equal((last * 255).round().byte().permute(1, 2, 0), np.asarray(Image.open(f"{more['ref']}/d.png")))


def test_test_images_have_references_and_another_fingerprint(folders: dict[str, str]) -> None:
    given = {f"test_{kind}": path for kind, path in folders.items()}
    [held] = Triples(**given).test_sets
    [plain] = Triples(test_gt=folders["gt"], test_lq=folders["lq"]).test_sets
    assert torch.allclose(held[1]["ref"], 1 - held[1]["gt"], atol=1e-6)
    assert "ref" not in plain[1]
    assert held.info.fingerprint != plain.info.fingerprint
    assert (held.info.count, held.info.lq_origin) == (3, "files")
    [batch] = list(Triples(**given).test_dataloader()[0])[:1]
    assert batch["ref"].shape == (1, 3, 48, 48)
    [made] = Triples(test_gt=folders["gt"], test_ref=folders["ref"]).test_sets
    assert made.info.lq_origin == "matlab_bicubic"


def test_references_that_do_not_fit_are_refused(folders: dict[str, str], tmp_path: Path) -> None:
    without = {k: v for k, v in training(folders).items() if k != "train_ref"}
    with pytest.raises(InputError, match="1 folders of gt, 1 of lq and 0 of references"):
        Triples(**without)
    with pytest.raises(InputError, match=r"there is no lq for it in .*few"):
        Triples(**{**without, "train_ref": folder(tmp_path / "few", 48, "a b")}).setup("fit")
    with pytest.raises(InputError, match="not 1 times its lq"):
        Triples(**{**without, "train_ref": folder(tmp_path / "small", 12)}).setup("fit")
    with pytest.raises(InputError, match="degradation makes another lq"):
        Triples(**training(folders), degradation=RealESRGAN())
