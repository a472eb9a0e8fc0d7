"""The only pixel conversions: file to array and back, array to tensor and back, 8-bit rounding, luma, crops.

Pixels are (H,W,3) uint8 RGB. Whatever would have to be guessed at to become that (16 bits, real transparency, CMYK,
animation, damage) is refused with a line that says how to mend the file. torch is imported where tensors appear.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from srbench.atomic import write_whole
from srbench.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

PIXEL_LIMIT = 200_000_000
"""Larger images are refused before they are decoded: a small file can unpack to more than the memory holds."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")

Pixels = NDArray[np.uint8]
Plane = NDArray[np.float64]

# Only these decoders are let near a file of unknown origin; the name's ending is not believed.
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")  # Pillow turns multi-picture JPEG into MPO by itself
_RE_EXPORT = "save it again as 8-bit RGB PNG"
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PILLOW = threading.RLock()


class Decoded(NamedTuple):
    """An image and what was done to it on the way.

    Attributes:
        pixels: (H,W,3) uint8 RGB.
        notes: remarks for the record (``grey image made RGB``), empty for a plain RGB file.
    """

    pixels: Pixels
    notes: tuple[str, ...]


def read_image(path: str | Path, *, pixel_limit: int = PIXEL_LIMIT) -> Decoded:
    """Decode an image file of up to ``pixel_limit`` pixels.

    Grey and palette images become RGB, an alpha channel that is opaque everywhere is dropped, a photograph is turned
    upright by its EXIF orientation, and of a phone's multi-picture JPEG the main picture is taken; the notes say so.

    Raises:
        InputError: naming the file: it is missing, no image, damaged or truncated, over the pixel limit, animated or
            of several pages, has 16 bits per channel, real transparency, or colours other than grey and RGB.
    """
    path = Path(path)
    with _opened(path) as (file, image):
        _check_header(path, image, pixel_limit)
        if image.format == "PNG":
            _check_png(path, file)
        _decode(path, image)
        notes: list[str] = []
        if image.format == "MPO":
            notes.append("main picture of a multi-picture JPEG")
        upright = _upright(image, notes)
        return Decoded(np.array(_to_rgb(path, upright, notes), dtype=np.uint8), tuple(notes))


def read_size(path: str | Path) -> tuple[int, int]:
    """(height, width) from the file's header, as ``read_image`` would give them.

    Raises:
        InputError: the file is missing or no image.
    """
    path = Path(path)
    with _opened(path) as (_, image):
        width, height = image.size
        return (width, height) if _orientation(image) >= 5 else (height, width)


def write_png(path: str | Path, pixels: Pixels) -> None:
    """Write (H,W,3) uint8 RGB as PNG, whole or not at all, making the folder when it is missing.

    Raises:
        InputError: the disk is full or the place is read-only; an older file of that name is left as it was.
        ValueError: the array is not (H,W,3) uint8.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"write_png takes (H,W,3) uint8, not {pixels.shape} {pixels.dtype}")
    encoded = io.BytesIO()
    # Run-length matching after PNG's filters: a quarter of the default's time, files 2 % larger.
    Image.fromarray(pixels).save(encoded, format="PNG", compress_level=1, compress_type=zlib.Z_RLE)
    write_whole(Path(path), encoded.getvalue(), durable=False)


def to_tensor(pixels: Pixels) -> Tensor:
    """(H,W,3) uint8 to (3,H,W) float32 in [0,1]; ``to_uint8`` gives the same bytes back."""
    import torch

    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    return torch.from_numpy(planes).to(torch.float32).div_(255)


def to_uint8(image: Tensor) -> Pixels:
    """(3,H,W) in [0,1] to (H,W,3) uint8: clamped, times 255, rounded half to even, as BasicSR's ``tensor2img`` does.

    Raises:
        InputError: the image holds NaN.
        ValueError: the tensor is not (3,H,W).
    """
    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"to_uint8 takes (3,H,W), not {tuple(image.shape)}")
    image = image.detach().float()
    if bool(image.isnan().any()):
        raise InputError("the image holds NaN", remedy="look for NaN in the weights, or run in float32")
    levels = image.clamp(0, 1).mul(255).round().byte()
    pixels: Pixels = levels.permute(1, 2, 0).contiguous().cpu().numpy()
    return pixels


def luma_y219(rgb: NDArray[Any]) -> Plane:
    """Luma of MATLAB's ``rgb2ycbcr`` (ITU-R BT.601, studio range 16..235) without its rounding, as BasicSR uses it.

    Args:
        rgb: (H,W,3), uint8 or floating point, 0..255.

    Returns:
        (H,W) float64.
    """
    luma: Plane = rgb.astype(np.float64) @ (np.array([65.481, 128.553, 24.966]) / 255) + 16
    return luma


def luma_yiq(rgb: NDArray[Any]) -> Plane:
    """Luma of YIQ, full range 0..255: the default of IQA-PyTorch, whose PSNR is 1.3219 dB below Y219's.

    Args:
        rgb: (H,W,3), uint8 or floating point, 0..255.

    Returns:
        (H,W) float64.
    """
    luma: Plane = rgb.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    return luma


def crop_border(pixels: NDArray[Any], border: int) -> NDArray[Any]:
    """(H,W,...) without ``border`` pixels on each side.

    Raises:
        InputError: nothing would be left.
    """
    height, width = pixels.shape[:2]
    if min(height, width) <= 2 * border:
        raise InputError(
            f"{width}x{height} pixels are too few to crop {border} on each side",
            remedy="use larger images or a protocol that crops less",
        )
    return pixels[border : height - border, border : width - border]


def center_crop(pixels: NDArray[Any], size: int) -> NDArray[Any]:
    """The middle ``size`` x ``size`` of (H,W,...); an odd remainder leaves the extra row or column at the end.

    Raises:
        InputError: the image is smaller than that.
    """
    height, width = pixels.shape[:2]
    if min(height, width) < size:
        raise InputError(
            f"{width}x{height} pixels hold no {size}x{size} centre",
            remedy="use larger images or a protocol without a centre crop",
        )
    top, left = (height - size) // 2, (width - size) // 2
    return pixels[top : top + size, left : left + size]


def list_images(folder: str | Path) -> list[Path]:
    """The image files directly in ``folder``, sorted by name; hidden files are left out.

    Raises:
        InputError: the folder is missing, is no folder, or holds no image.
    """
    folder = Path(folder)
    try:
        found = [p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
    except OSError as error:
        remedy = "give the folder that holds the images"
        raise InputError(f"cannot list the folder ({error.strerror})", where=folder, remedy=remedy) from error
    if not found:
        kinds = ", ".join(suffix[1:] for suffix in SUFFIXES)
        raise InputError("no images in the folder", where=folder, remedy=f"put images there ({kinds})")
    return sorted(found, key=lambda p: p.name)


def by_stem(files: Sequence[Path]) -> dict[str, Path]:
    """The files of one folder by their names without ending, which is how images are paired; the order stays.

    Raises:
        InputError: two names differ in their ending alone; it names both.
    """
    found: dict[str, Path] = {}
    for file in files:
        if file.stem in found:
            what = f"{found[file.stem].name} and {file.name} have the same name but for the ending"
            raise InputError(what, where=file.parent, remedy="keep one of them")
        found[file.stem] = file
    return found


def file_sha256(path: str | Path) -> str:
    """sha256 of a file's bytes, 64 hex digits.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(Path(path), error) from error


def fingerprint(files: Iterable[tuple[str, Path]]) -> str:
    """sha256 over names and bytes of ``(name, path)`` in the order given; folders and times do not enter.

    Raises:
        InputError: a file cannot be read.
    """
    total = hashlib.sha256()
    for name, path in files:
        encoded = name.encode("utf-8", "surrogateescape")
        # The length keeps ("ab", ...) and ("a", "b...") apart.
        total.update(len(encoded).to_bytes(8, "big") + encoded + bytes.fromhex(file_sha256(path)))
    return total.hexdigest()


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, Image.Image]]:
    """The file and the image in it, header read, pixels not yet."""
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb"))
        except OSError as error:
            raise _unreadable(path, error) from error
        try:
            with _strict_pillow():
                image = stack.enter_context(Image.open(file, formats=_FORMATS))
        except Exception as error:  # Pillow's parsers raise a dozen kinds on a file made to break them
            raise _not_an_image(path, error) from error
        yield file, image


@contextlib.contextmanager
def _strict_pillow() -> Iterator[None]:
    """Pillow with our pixel limit instead of its own, and without the leniency some libraries switch on globally."""
    with _PILLOW:
        before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = None, False
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = before


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(f"cannot be read ({error.strerror})", where=path, remedy="check the path and its permissions")


def _not_an_image(path: Path, error: Exception) -> InputError:
    with contextlib.suppress(OSError):
        if path.stat().st_size == 0:
            return InputError("the file is empty", where=path, remedy="copy it again from its source")
    kinds = "PNG, JPEG, BMP, TIFF or WebP"
    if isinstance(error, Image.UnidentifiedImageError):
        return InputError(f"not a {kinds} image, whatever its name says", where=path, remedy="replace or remove it")
    return InputError(f"unreadable {kinds} header ({_short(error)})", where=path, remedy="copy it again or remove it")


def _damaged(path: Path, why: str) -> InputError:
    return InputError(f"the image is truncated or damaged ({why})", where=path, remedy="copy it again from its source")


def _short(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:100]


def _check_header(path: Path, image: Image.Image, pixel_limit: int) -> None:
    width, height = image.size
    if width * height > pixel_limit:
        raise InputError(
            f"{width}x{height} pixels are over the limit of {pixel_limit:,}",
            where=path,
            remedy="cut it into parts, or raise the pixel limit if you trust it",
        )
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        raise InputError(
            f"holds {getattr(image, 'n_frames', 1)} frames or pages", where=path, remedy="save one of them as PNG"
        )
    if _bits(image) > 8:
        raise InputError(f"has {_bits(image)} bits per channel", where=path, remedy=_RE_EXPORT)


def _bits(image: Image.Image) -> int:
    """Bits per channel in the file. Pillow silently halves 16-bit RGB, so its mode alone does not tell."""
    if image.mode in ("I", "F"):
        return 32
    if image.mode.startswith("I;16"):
        return 16
    if image.format == "TIFF":
        depths = image.tag_v2.get(258, (1,))  # type: ignore[attr-defined]
        return max(depths) if isinstance(depths, tuple) else int(depths)
    tiles = getattr(image, "tile", None)
    raw = str(tiles[0][3]) if tiles and image.format == "PNG" else ""
    return 16 if ";16" in raw else 8


def _check_png(path: Path, file: BinaryIO) -> None:
    """Walk the chunks: every checksum right and an end chunk there. Pillow itself skips the checksums of pixel data."""
    position = file.tell()
    file.seek(8)
    kind = b""
    while kind != b"IEND":
        head = file.read(8)
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        # A length is believed only as far as the file reaches: read() returns what is there.
        body = file.read(length + 4)
        if len(head) < 8 or len(body) < length + 4:
            raise _damaged(path, "it ends too early")
        if zlib.crc32(body[:-4], zlib.crc32(kind)) != int.from_bytes(body[-4:], "big"):
            raise _damaged(path, "a checksum is wrong")
    file.seek(position)


def _decode(path: Path, image: Image.Image) -> None:
    try:
        with _strict_pillow() if ImageFile.LOAD_TRUNCATED_IMAGES else contextlib.nullcontext():
            image.load()
    except Exception as error:  # as in _opened: damaged files raise whatever the decoder stumbles over
        raise _damaged(path, _short(error)) from error


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1..8 (Pillow applies TIFF's itself; PNG's is never set by cameras and costs a full decode)."""
    if image.format not in ("JPEG", "MPO", "WEBP"):
        return 1
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a broken EXIF block says nothing about the pixels
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(image: Image.Image, notes: list[str]) -> Image.Image:
    turn = _TURNS.get(_orientation(image))
    if turn is None:
        return image
    notes.append("turned upright by its EXIF orientation")
    return image.transpose(turn)


def _to_rgb(path: Path, image: Image.Image, notes: list[str]) -> Image.Image:
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        if image.convert("RGBA").getchannel("A").getextrema() != (255, 255):
            remedy = "flatten it onto a background and save it as 8-bit RGB PNG"
            raise InputError("has a transparency (alpha) channel", where=path, remedy=remedy)
        notes.append("opaque alpha channel dropped")
        image.info.pop("transparency", None)
    if image.mode in ("RGB", "RGBA", "RGBa"):
        return image.convert("RGB")
    kinds = {"1": "grey", "L": "grey", "LA": "grey", "La": "grey", "P": "palette", "PA": "palette"}
    if image.mode not in kinds:
        raise InputError(f"has {image.mode} colours", where=path, remedy=_RE_EXPORT)
    notes.append(f"{kinds[image.mode]} image made RGB")
    return image.convert("RGB")
