"""Pixels: what is read, what is refused and in which words, and the conversions."""

from __future__ import annotations

import errno
import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

from srbench import images
from srbench.errors import InputError
from srbench.images import (
    by_stem,
    center_crop,
    crop_border,
    file_sha256,
    fingerprint,
    list_images,
    luma_y219,
    luma_yiq,
    read_image,
    read_size,
    to_tensor,
    to_uint8,
    write_png,
)


def noise(height: int = 12, width: int = 17, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def raw_png(width: int, height: int, bits: int, colour: int, rows: bytes) -> bytes:
    """A PNG of any bit depth: Pillow cannot write 16-bit RGB."""
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def saved(folder: Path, data: bytes, name: str = "image.png") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def refusal(path: Path, **options: Any) -> str:
    """The one line a bad file gives; it names the file and a remedy."""
    with pytest.raises(InputError) as caught:
        read_image(path, **options)
    assert caught.value.where == str(path)
    assert caught.value.remedy
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ------------------------------------------------------------------------------------------------------ what is read


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True})])
def test_rgb_files_come_back_as_they_are(tmp_path: Path, kind: str, options: dict[str, Any]) -> None:
    path = saved(tmp_path, encoded(Image.fromarray(noise()), kind, **options), "any.name")
    pixels, notes = read_image(path)
    assert np.array_equal(pixels, noise())
    assert notes == ()
    assert pixels.flags.writeable
    assert pixels.flags.c_contiguous
    assert read_size(path) == (12, 17)


def test_jpeg_is_read_whatever_its_name_says(tmp_path: Path) -> None:
    path = saved(tmp_path, encoded(Image.fromarray(noise()), "JPEG", quality=95), "photo.png")
    assert read_image(path).pixels.shape == (12, 17, 3)


@pytest.mark.parametrize("mode", ["L", "1"])
def test_grey_becomes_rgb_with_a_note(tmp_path: Path, mode: str) -> None:
    grey = Image.fromarray(noise()).convert("L").convert(mode)
    pixels, notes = read_image(saved(tmp_path, encoded(grey, "PNG")))
    assert notes == ("grey image made RGB",)
    assert np.array_equal(pixels, np.asarray(grey.convert("L"))[..., None].repeat(3, axis=2))


def test_palette_becomes_rgb_with_a_note(tmp_path: Path) -> None:
    palette = Image.fromarray(noise()).quantize(16)
    pixels, notes = read_image(saved(tmp_path, encoded(palette, "PNG")))
    assert notes == ("palette image made RGB",)
    assert np.array_equal(pixels, np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize(
    ("mode", "notes"),
    [("RGBA", ("opaque alpha channel dropped",)), ("LA", ("opaque alpha channel dropped", "grey image made RGB"))],
)
def test_opaque_alpha_is_dropped_with_a_note(tmp_path: Path, mode: str, notes: tuple[str, ...]) -> None:
    image = Image.fromarray(noise()).convert(mode)
    found = read_image(saved(tmp_path, encoded(image, "PNG")))
    assert found.notes == notes
    assert np.array_equal(found.pixels, np.asarray(image.convert("RGB")))


def test_a_transparent_colour_that_no_pixel_has_is_dropped(tmp_path: Path) -> None:
    dark = noise() // 2
    path = saved(tmp_path, encoded(Image.fromarray(dark), "PNG", transparency=(255, 255, 255)))
    pixels, notes = read_image(path)
    assert notes == ("opaque alpha channel dropped",)
    assert np.array_equal(pixels, dark)


def test_photographs_are_turned_upright(tmp_path: Path) -> None:
    # A quarter to the left, so that a decoder that ignores orientation shows another shape.
    exif = Image.Exif()
    exif[0x0112] = 6
    half = np.zeros((16, 32, 3), dtype=np.uint8)
    half[:8] = 255
    path = saved(tmp_path, encoded(Image.fromarray(half), "JPEG", exif=exif, quality=95), "photo.jpg")
    pixels, notes = read_image(path)
    assert notes == ("turned upright by its EXIF orientation",)
    assert read_size(path) == pixels.shape[:2] == (32, 16)
    assert pixels[:, 12:].mean() > 250
    assert pixels[:, :4].mean() < 5


def test_of_a_phones_multi_picture_jpeg_the_main_picture_is_taken(tmp_path: Path) -> None:
    main, preview = Image.fromarray(noise()), Image.fromarray(noise(4, 4))
    path = saved(tmp_path, encoded(main, "MPO", save_all=True, append_images=[preview]), "phone.jpg")
    pixels, notes = read_image(path)
    assert pixels.shape == (12, 17, 3)
    assert notes == ("main picture of a multi-picture JPEG",)


def test_the_grey_image_of_set14_is_noted(shared: Path) -> None:
    noted = {path.name for path in list_images(shared / "data" / "Set14" / "HR") if read_image(path).notes}
    assert noted == {"img_003.png"}


# --------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_16_bit_png(tmp_path: Path, colour: int, channels: int) -> None:
    rows = b"".join(b"\0" + bytes(range(5 * channels * 2)) for _ in range(4))
    path = saved(tmp_path, raw_png(5, 4, 16, colour, rows))
    assert "has 16 bits per channel; save it again as 8-bit RGB PNG" in refusal(path)


def test_the_16_bit_png_differs_from_an_8_bit_one_in_depth_alone(tmp_path: Path) -> None:
    rows = b"".join(b"\0" + bytes(range(15)) for _ in range(4))
    assert read_image(saved(tmp_path, raw_png(5, 4, 8, 2, rows))).pixels[0, 1].tolist() == [3, 4, 5]


@pytest.mark.parametrize(("dtype", "bits"), [(np.uint16, 16), (np.int32, 32), (np.float32, 32)])
def test_tiff_of_more_than_8_bits(tmp_path: Path, dtype: type, bits: int) -> None:
    path = saved(tmp_path, encoded(Image.fromarray(np.ones((4, 5), dtype=dtype)), "TIFF"), "deep.tif")
    assert f"has {bits} bits per channel" in refusal(path)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_real_transparency(tmp_path: Path, kind: str) -> None:
    pixels = noise(channels=4)
    pixels[..., 3] = 255
    pixels[3, 5, 3] = 254  # one pixel is enough
    path = saved(tmp_path, encoded(Image.fromarray(pixels), kind, lossless=True))
    assert "has a transparency (alpha) channel; flatten it" in refusal(path)


@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
def test_transparent_colours(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(np.full((4, 5, 3), 9, dtype=np.uint8)).convert(mode)
    first = image.getpixel((0, 0))
    path = saved(tmp_path, encoded(image, "PNG", transparency=first))
    assert "transparency" in refusal(path)


@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "CMYK"), ("TIFF", "CMYK"), ("TIFF", "LAB")])
def test_other_colours_than_grey_and_rgb(tmp_path: Path, kind: str, mode: str) -> None:
    path = saved(tmp_path, encoded(Image.new(mode, (5, 4)), kind), "print.jpg")
    assert f"has {mode} colours; save it again as 8-bit RGB PNG" in refusal(path)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {}),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_truncated_anywhere(tmp_path: Path, kind: str, options: dict[str, Any]) -> None:
    whole = encoded(Image.fromarray(noise(20, 24)), kind, **options)
    read_image(saved(tmp_path, whole))
    for length in [*range(1, len(whole), 41), *range(len(whole) - 12, len(whole))]:
        refusal(saved(tmp_path, whole[:length]))


@pytest.mark.parametrize(("kind", "words"), [("PNG", "ends too early"), ("JPEG", "truncated")])
def test_truncated_says_so(tmp_path: Path, kind: str, words: str) -> None:
    whole = encoded(Image.fromarray(noise(40, 40)), kind)
    text = refusal(saved(tmp_path, whole[: len(whole) // 2]))
    assert "the image is truncated or damaged" in text
    assert words in text


def test_truncated_also_where_a_library_made_pillow_lenient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for kind in ("PNG", "JPEG"):
        whole = encoded(Image.fromarray(noise(40, 40)), kind)
        assert "truncated" in refusal(saved(tmp_path, whole[: len(whole) // 2]))
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def test_png_with_a_flipped_bit(tmp_path: Path) -> None:
    data = bytearray(encoded(Image.fromarray(noise(40, 40)), "PNG"))
    data[len(data) // 2] ^= 1
    assert "a checksum is wrong" in refusal(saved(tmp_path, bytes(data)))


def test_text_and_empty_files_under_an_images_name(tmp_path: Path) -> None:
    assert "not a PNG, JPEG, BMP, TIFF or WebP image, whatever its name says" in refusal(saved(tmp_path, b"hello"))
    assert "the file is empty" in refusal(saved(tmp_path, b""))


def test_formats_outside_the_list_reach_no_decoder(tmp_path: Path) -> None:
    path = saved(tmp_path, encoded(Image.fromarray(noise()), "GIF"))
    assert "not a PNG" in refusal(path)
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n"
    assert "not a PNG" in refusal(saved(tmp_path, postscript))


def test_missing_files_and_folders(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "no.png")
    assert "cannot be read" in refusal(tmp_path)


def test_over_the_pixel_limit(tmp_path: Path) -> None:
    path = saved(tmp_path, encoded(Image.fromarray(noise()), "PNG"))
    assert "17x12 pixels are over the limit of 203" in refusal(path, pixel_limit=203)
    assert read_image(path, pixel_limit=204).pixels.shape == (12, 17, 3)


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    path = saved(tmp_path, raw_png(60_000, 60_000, 8, 2, b""))
    assert "60000x60000 pixels are over the limit of 200,000,000" in refusal(path)
    assert read_size(path) == (60_000, 60_000)


@pytest.mark.filterwarnings("error")
def test_pillows_own_limit_is_neither_in_the_way_nor_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert read_image(saved(tmp_path, encoded(Image.fromarray(noise()), "PNG"))).pixels.shape == (12, 17, 3)
    assert Image.MAX_IMAGE_PIXELS == 10


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_animations_and_pages(tmp_path: Path, kind: str) -> None:
    frames = [Image.fromarray(np.roll(noise(), i)) for i in range(3)]
    path = saved(tmp_path, encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert "holds 3 frames or pages; save one of them as PNG" in refusal(path)


def test_read_size_refuses_what_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a PNG"):
        read_size(saved(tmp_path, b"hello"))


# ----------------------------------------------------------------------------------------------------------- writing


def test_png_round_trip_makes_the_folder_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "image.png"
    write_png(path, noise())
    write_png(path, noise()[::-1])
    assert np.array_equal(read_image(path).pixels, noise()[::-1])
    assert [p.name for p in path.parent.iterdir()] == ["image.png"]


@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.ENOSPC, "make room on the disk"), (errno.EROFS, "read-only"), (errno.EACCES, "another output folder")],
)
def test_a_full_or_read_only_disk_keeps_the_older_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    path = tmp_path / "image.png"
    write_png(path, noise())

    def fail(self: Path, target: Any) -> None:
        raise OSError(code, "it failed")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(InputError, match=words) as caught:
        write_png(path, noise()[::-1])
    assert caught.value.where == str(path)
    monkeypatch.undo()
    assert np.array_equal(read_image(path).pixels, noise())
    assert [p.name for p in tmp_path.iterdir()] == ["image.png"]


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    saved(tmp_path, b"", "runs")
    with pytest.raises(InputError, match="a file stands where a folder is needed"):
        write_png(tmp_path / "runs" / "image.png", noise())


def test_only_rgb_bytes_are_written(tmp_path: Path) -> None:
    wrongs: list[Any] = [noise()[..., 0], noise().astype(np.float32), noise(channels=4)]
    for wrong in wrongs:
        with pytest.raises(ValueError, match="takes"):
            write_png(tmp_path / "image.png", wrong)


# ------------------------------------------------------------------------------------------------------- conversions


def test_every_level_survives_the_way_to_a_tensor_and_back() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    tensor = to_tensor(levels)
    assert tensor.dtype == torch.float32
    assert tensor.shape == (3, 16, 16)
    assert (tensor.min().item(), tensor.max().item()) == (0, 1)
    assert np.array_equal(to_uint8(tensor), levels)


def test_channels_stay_in_order() -> None:
    tensor = to_tensor(noise())
    assert tensor[1, 2, 3].item() == pytest.approx(noise()[2, 3, 1] / 255)


def test_halves_go_to_the_even_level_and_the_rest_is_clamped() -> None:
    values = torch.tensor([0.5, 1.5, 2.5, 3.5, -40.0, 300.0, float("inf"), float("-inf")], dtype=torch.float64) / 255
    column = values.float().reshape(1, -1, 1).expand(3, -1, 1)
    assert torch.equal(values[:4].float() * 255, torch.tensor([0.5, 1.5, 2.5, 3.5]))  # so these are halves indeed
    assert to_uint8(column)[:, 0, 0].tolist() == [0, 2, 2, 4, 0, 255, 255, 0]


def test_to_uint8_takes_half_precision_and_gradients() -> None:
    image = torch.rand(3, 4, 5, requires_grad=True)
    assert to_uint8(image.half()).shape == (4, 5, 3)


def test_nan_and_other_shapes_are_refused() -> None:
    image = torch.rand(3, 4, 5)
    image[1, 2, 3] = float("nan")
    with pytest.raises(InputError, match="the image holds NaN"):
        to_uint8(image)
    with pytest.raises(ValueError, match="takes"):
        to_uint8(torch.rand(1, 3, 4, 5))


def test_luma_of_black_white_and_the_primaries() -> None:
    colours = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]], dtype=np.uint8)
    assert luma_y219(colours)[0] == pytest.approx([16, 235, 81.481, 144.553, 40.966], abs=1e-9)
    assert luma_yiq(colours)[0] == pytest.approx([0, 255, 76.245, 149.685, 29.07], abs=1e-9)
    assert luma_y219(colours).dtype == luma_yiq(colours).dtype == np.float64
    assert luma_y219(colours.astype(np.float64)) == pytest.approx(luma_y219(colours))


def test_crops() -> None:
    pixels = noise(9, 12)
    assert np.array_equal(crop_border(pixels, 0), pixels)
    assert np.array_equal(crop_border(pixels, 4), pixels[4:5, 4:8])
    assert np.array_equal(center_crop(pixels, 4), pixels[2:6, 4:8])
    with pytest.raises(InputError, match="12x8 pixels are too few to crop 4"):
        crop_border(pixels[:8], 4)
    with pytest.raises(InputError, match="12x9 pixels hold no 10x10 centre"):
        center_crop(pixels, 10)


# -------------------------------------------------------------------------------------------------- folders and hashes


def test_images_are_listed_by_name(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "c.webp", "d.tif", ".hidden.png", "notes.txt"):
        saved(tmp_path, b"", name)
    assert [p.name for p in list_images(tmp_path)] == ["a.jpg", "b.PNG", "c.webp", "d.tif"]


def test_empty_and_missing_folders(tmp_path: Path) -> None:
    saved(tmp_path, b"", "notes.txt")
    with pytest.raises(InputError, match="no images in the folder; put images there"):
        list_images(tmp_path)
    with pytest.raises(InputError, match="No such file"):
        list_images(tmp_path / "no")
    with pytest.raises(InputError, match="Not a directory"):
        list_images(tmp_path / "notes.txt")


def test_by_stem_keeps_the_order_and_refuses_names_that_differ_in_their_ending_alone() -> None:
    files = [Path("set/b.x4.png"), Path("set/a.jpg"), Path("set/b.png")]
    assert list(by_stem(files).items()) == list(zip(["b.x4", "a", "b"], files, strict=True))
    with pytest.raises(InputError, match=r"^set: a\.jpg and a\.webp have the same name.*; keep one of them$"):
        by_stem([*files, Path("set/a.webp")])


def test_fingerprint_is_of_names_and_bytes(tmp_path: Path) -> None:
    first, second = saved(tmp_path, b"1", "x"), saved(tmp_path, b"2", "y")
    base = fingerprint([("a", first), ("b", second)])
    assert len(base) == 64
    assert base == fingerprint([("a", saved(tmp_path, b"1", "elsewhere")), ("b", second)])
    others = [
        [("b", second), ("a", first)],
        [("a", second), ("b", first)],
        [("a", first)],
        [("a", first), ("c", second)],
    ]
    assert len({base, *(fingerprint(files) for files in others)}) == 5


def test_file_sha256(tmp_path: Path) -> None:
    whole = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file_sha256(saved(tmp_path, b"abc")) == whole
    with pytest.raises(InputError, match="cannot be read"):
        file_sha256(tmp_path / "no.png")


def test_importing_it_does_not_import_torch() -> None:
    code = f"import sys, {images.__name__}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
