"""HRImages: any folders and lists of photographs, squares of them, and a cache on disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from srbench.datamodules.decoded_cache import DecodedCache, in_threads
from srbench.datamodules.degradations import DASR, Bicubic
from srbench.datamodules.file_lists import find_images
from srbench.datamodules.hr_images import HRImages, _places
from srbench.errors import InputError
from srbench.images import Decoded, read_image
from srbench.sampling import Draw


def draw(path: Path, height: int = 40, width: int = 48, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(256, size=(height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two folders: a.png, deep/b.png, deep/c.jpg and faces/0..4.png, with things that are no images beside them."""
    draw(tmp_path / "hr" / "a.png")
    draw(tmp_path / "hr" / "deep" / "b.png", 56, 64, 1)
    draw(tmp_path / "hr" / "deep" / "c.jpg", 48, 48, 2)
    draw(tmp_path / "hr" / ".hidden" / "d.png")
    (tmp_path / "hr" / "readme.txt").write_text("no image")
    for i in range(5):
        draw(tmp_path / "faces" / f"{i}.png", 40, 40, 10 + i)
    return tmp_path


def data(gt: Any, **settings: Any) -> HRImages:
    return HRImages(gt=gt, **{"patch_size": 32, "batch_size": 2, "seed": 3, **settings})


def names(module: HRImages) -> list[str]:
    return [pair.name for pair in module.training_set().pairs]


# ------------------------------------------------------------------------------------------------------------- finding


def test_folders_are_searched_to_the_bottom_in_a_fixed_order(folder: Path) -> None:
    assert names(data(str(folder / "hr"))) == ["a", "deep/b", "deep/c"]
    assert names(data(str(folder / "hr"), recursive=False)) == ["a"]
    both = [str(folder / "faces"), str(folder / "hr")]
    assert names(data(both)) == ["0", "1", "2", "3", "4", "a", "deep/b", "deep/c"]


def test_the_first_of_each_source(folder: Path) -> None:
    both = [str(folder / "faces"), str(folder / "hr")]
    assert names(data(both, first=2)) == ["0", "1", "a", "deep/b"]
    assert names(data(both, first=[3, None])) == ["0", "1", "2", "a", "deep/b", "deep/c"]
    for first, says in (([3], "1 numbers for 2 sources"), (0, "impossible"), ([1, -1], "impossible")):
        with pytest.raises(InputError, match=says):
            names(data(both, first=first))


def test_lists_as_basicsr_writes_them(folder: Path) -> None:
    listing = folder / "hr" / "meta_info.txt"
    listing.write_text("# a comment\ndeep/b.png (56,64,3)\n\na.png\n", encoding="utf-8")
    assert names(data(str(listing))) == ["deep/b", "a"]
    elsewhere = folder / "meta.txt"
    elsewhere.write_text("a.png 3\r\n", encoding="utf-8-sig")
    assert names(data(str(elsewhere), list_root=str(folder / "hr"))) == ["a"]
    draw(folder / "hr" / "with blank.png")
    elsewhere.write_text(f"with blank.png (40,48,3)\n{folder / 'faces' / '1.png'}\n")
    found = find_images([elsewhere], list_root=folder / "hr")
    assert [f.path.name for f in found] == ["with blank.png", "1.png"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("deep\\b.png", "line 2: 'deep\\b.png' has Windows separators; write the list with / instead of \\"),
        ("deep/x.png", "line 2: 'deep/x.png' is no file in"),
    ],
)
def test_a_bad_line_is_named(folder: Path, line: str, says: str) -> None:
    listing = folder / "hr" / "list.txt"
    listing.write_text(f"a.png\n{line}\n")
    with pytest.raises(InputError) as caught:
        names(data(str(listing)))
    assert says in str(caught.value)


def test_empty_and_missing_sources_are_named(folder: Path) -> None:
    (folder / "empty").mkdir()
    (folder / "empty.txt").write_text("# nothing\n")
    (folder / "odd.txt").write_bytes(b"\xff\xfe\x00bad")
    for gt, says in (
        (None, "no folder and no list"),
        ("empty", "no images in the folder"),
        ("nowhere", "no such folder"),
        ("empty.txt", "the list names no image"),
        ("odd.txt", "cannot be read"),
    ):
        with pytest.raises(InputError, match=says):
            names(data(None if gt is None else str(folder / gt)))


# ----------------------------------------------------------------------------------------------------------- filtering


def test_small_images_are_left_out_and_counted_once(folder: Path) -> None:
    module = data(str(folder / "hr"), min_side=48)
    with pytest.warns(UserWarning, match="1 of 3 images are left out as too small"):
        assert names(module) == ["deep/b", "deep/c"]
    with pytest.raises(InputError, match="all 3 images are smaller than min_side 500"):
        names(data(str(folder / "hr"), min_side=500))
    kilobytes = (folder / "hr" / "deep" / "b.png").stat().st_size // 1024
    with pytest.warns(UserWarning, match="2 of 3"):
        assert names(data(str(folder / "hr"), min_kb=kilobytes)) == ["deep/b"]


def test_unreadable_files_are_refused_or_left_out_when_asked(folder: Path) -> None:
    (folder / "hr" / "no_image.png").write_text("not at all")
    (folder / "hr" / "also_not.png").write_text("nor this")
    with pytest.raises(InputError, match=r"also_not.png.*and 1 more.*set data.init_args.skip_unreadable to true"):
        names(data(str(folder / "hr")))
    with pytest.warns(UserWarning, match="2 of 5 images cannot be read and are left out: .*also_not.png"):
        assert names(data(str(folder / "hr"), skip_unreadable=True)) == ["a", "deep/b", "deep/c"]


def test_a_truncated_file_is_named_when_drawn_and_left_out_when_asked(folder: Path) -> None:
    """Its header is whole, so only decoding finds it."""
    whole = (folder / "hr" / "a.png").read_bytes()
    (folder / "hr" / "a.png").write_bytes(whole[: len(whole) // 2])
    training = data(str(folder / "hr")).training_set()
    with pytest.raises(InputError, match=r"a\.png.*truncated"):
        training[Draw(0, 0, 0)]
    with pytest.warns(UserWarning, match="1 of 3 images cannot be read"):
        assert names(data(str(folder / "hr"), skip_unreadable=True)) == ["deep/b", "deep/c"]


# ------------------------------------------------------------------------------------------------------------- squares


def test_places_end_at_the_border() -> None:
    assert _places(1000, 480, 240) == [0, 240, 480, 520]
    assert _places(480, 480, 240) == [0]
    assert _places(300, 480, 240) == [0]
    assert _places(960, 480, 240) == [0, 240, 480]


@pytest.mark.parametrize("cached", [False, True])
def test_squares_are_parts_of_their_image(folder: Path, cached: bool) -> None:
    cache = str(folder / "cache") if cached else None
    settings: dict[str, Any] = {"sub_size": 32, "sub_step": 16, "cache": cache, "augment": False}
    module = data(str(folder / "hr"), degradation=Bicubic(), **settings)
    training = module.training_set()
    assert names(module)[:3] == ["a_s001", "a_s002", "a_s003"]
    assert [p.box for p in training.pairs if p.name.startswith("a_")] == [
        (0, 0, 32, 32), (0, 16, 32, 32), (8, 0, 32, 32), (8, 16, 32, 32),
    ]  # fmt: skip
    pixels = read_image(folder / "hr" / "a.png").pixels
    for index in range(4):
        top, left, *_ = training.pairs[index].box or (0, 0)
        gt = (training[Draw(index, 0, 0)]["gt"] * 255).round().byte().permute(1, 2, 0).numpy()
        assert np.array_equal(gt, pixels[top : top + 32, left : left + 32])
    with pytest.raises(InputError, match="hold no patch of 64"):
        data(str(folder / "hr"), patch_size=64, sub_size=32)


def test_the_cache_in_memory_holds_squares_not_images(folder: Path) -> None:
    training = data(str(folder / "hr"), sub_size=32, sub_step=16).training_set()
    training[Draw(0, 0, 0)]
    assert all(image.base is None for image in training._cache[0])


# --------------------------------------------------------------------------------------------------------------- cache


@pytest.mark.parametrize("degradation", [None, Bicubic(), DASR(level="weak", crop=40)], ids=["none", "bicubic", "dasr"])
def test_a_cache_changes_no_pixel(folder: Path, degradation: Any) -> None:
    plain = data(str(folder / "hr"), degradation=degradation).training_set()
    cached = data(str(folder / "hr"), degradation=degradation, cache=str(folder / "cache")).training_set()
    assert len(list((folder / "cache").glob("*.npy"))) == 3
    for slot in range(9):
        a, b = plain[Draw(slot % 3, 0, slot)], cached[Draw(slot % 3, 0, slot)]
        assert torch.equal(a["gt"], b["gt"])
        if "lq" in a:
            assert torch.equal(a["lq"], b["lq"])


def test_an_image_is_decoded_once_and_again_when_it_changes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import srbench.datamodules.decoded_cache as module

    decoded: list[str] = []

    def reading(path: Path, **settings: Any) -> Decoded:
        decoded.append(path.name)
        return read_image(path, **settings)

    monkeypatch.setattr(module, "read_image", reading)
    cache = DecodedCache(folder / "cache")
    path = folder / "hr" / "a.png"
    first = cache.read(path).pixels
    assert isinstance(first, np.memmap)
    assert not first.flags.writeable
    assert np.array_equal(first, read_image(path).pixels)
    cache.fill([path, path])
    assert decoded == ["a.png"]
    draw(path, seed=9)
    os.utime(path, ns=(1, 1))
    assert np.array_equal(cache.read(path).pixels, read_image(path).pixels)
    assert len(decoded) == 2


def test_a_broken_entry_is_made_again(folder: Path) -> None:
    cache = DecodedCache(folder / "cache")
    path = folder / "hr" / "a.png"
    cache.read(path)
    entry = cache.entry(path)
    for damage in (b"", b"junk", entry.read_bytes()[:200]):
        entry.write_bytes(damage)
        assert np.array_equal(cache.read(path).pixels, read_image(path).pixels)


def test_what_is_kept_is_not_decoded_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import srbench.datamodules.hr_images as module

    (folder / "hr" / "broken.png").write_bytes((folder / "hr" / "a.png").read_bytes()[:-40])
    settings: dict[str, Any] = {"skip_unreadable": True, "cache": str(folder / "cache")}
    with pytest.warns(UserWarning, match="1 of 4 images cannot be read"):
        first = names(data(str(folder / "hr"), **settings))
    decoded: list[str] = []

    def read(path: Path, **limits: Any) -> Any:
        decoded.append(path.name)
        return read_image(path, **limits)

    monkeypatch.setattr(module, "read_image", read)
    with pytest.warns(UserWarning, match="1 of 4 images cannot be read"):
        assert names(data(str(folder / "hr"), **settings)) == first == ["a", "deep/b", "deep/c"]
    assert decoded == ["broken.png"]


def test_a_cache_that_cannot_be_written_is_named_with_the_remedy(folder: Path) -> None:
    (folder / "cache").write_text("a file stands here")
    with pytest.raises(InputError, match=r"set data\.init_args\.cache to a folder"):
        names(data(str(folder / "hr"), cache=str(folder / "cache")))


def test_a_full_read_only_cache_serves(folder: Path) -> None:
    place = folder / "cache"
    DecodedCache(place).fill([folder / "hr" / "a.png"])
    place.chmod(0o555)
    try:
        assert DecodedCache(place).read(folder / "hr" / "a.png").pixels.shape == (40, 48, 3)
    finally:
        place.chmod(0o755)


def test_an_unreadable_image_stops_the_filling_and_keeps_the_rest(folder: Path) -> None:
    (folder / "hr" / "z.png").write_text("no image")
    with pytest.raises(InputError, match=r"z\.png"):
        DecodedCache(folder / "cache").fill(sorted((folder / "hr").glob("*.png")))
    assert len(list((folder / "cache").glob("a-*.npy"))) == 1


def test_threads_keep_the_order() -> None:
    paths = [Path(str(i)) for i in range(40)]
    assert in_threads(lambda p: int(p.name) ** 2, paths, "squares") == [i**2 for i in range(40)]


# ---------------------------------------------------------------------------------------------------------- validation


def test_validation_is_optional_and_training_images_are_never_tested_on(folder: Path) -> None:
    assert data(str(folder / "hr")).val_sets == []
    assert data(str(folder / "hr")).testing_sets() == []
    [val] = data(str(folder / "hr"), val_gt=str(folder / "faces")).val_sets
    assert (val.name, len(val)) == ("faces", 5)
    assert val[0]["lq"].shape == (3, 10, 10)
    [loader] = data(str(folder / "hr"), val_gt=str(folder / "faces")).val_dataloader()
    assert [batch["name"] for batch in loader] == [["0"], ["1"], ["2"], ["3"], ["4"]]
    with pytest.raises(InputError, match="val_lq was given without val_gt"):
        data(str(folder / "hr"), val_lq="x")
