"""Decoded images on disk, memory-mapped: a crop of a large photograph then costs its pixels, not its decoding."""

from __future__ import annotations

import hashlib
import io
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from srbench.atomic import write_whole
from srbench.errors import InputError
from srbench.images import PIXEL_LIMIT, Decoded, read_image

T = TypeVar("T")


@dataclass(frozen=True)
class DecodedCache:
    """A folder of ``.npy`` files, (H,W,3) uint8 each, named after an image's path, size and time of change.

    So an image that was changed gets a new entry; nothing is ever deleted. Entries are written whole or not at all and
    several processes may fill one cache.

    Attributes:
        folder: where the entries lie; made when the first is written. Three bytes a pixel: 8 MB for 2040 x 1356.
    """

    folder: Path

    def entry(self, path: Path) -> Path:
        """The entry of an image file, whether it is there or not."""
        status = path.stat()
        key = f"{path.resolve()}\n{status.st_size}\n{status.st_mtime_ns}"
        return self.folder / f"{path.stem[:80]}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npy"

    def read(self, path: Path, *, pixel_limit: int = PIXEL_LIMIT) -> Decoded:
        """The image, memory-mapped and read-only; decoded and kept first where it is not there yet.

        Raises:
            InputError: the image cannot be read, or the cache cannot be written.
        """
        entry = self.entry(path)
        kept = _mapped(entry)
        if kept is None:
            self._keep(entry, read_image(path, pixel_limit=pixel_limit).pixels)
            kept = _mapped(entry)
        if kept is None:
            raise InputError("what was just written cannot be read", where=entry, remedy="look at the disk")
        return Decoded(kept, ())

    def size(self, path: Path) -> tuple[int, int] | None:
        """Height and width of an image that is kept, which was decoded whole; None where it is not kept."""
        kept = _mapped(self.entry(path))
        return None if kept is None else (kept.shape[0], kept.shape[1])

    def fill(self, paths: Sequence[Path], *, pixel_limit: int = PIXEL_LIMIT) -> None:
        """Decodes what is not there yet, several images at a time, and says how far it is.

        Raises:
            InputError: as :meth:`read`; what was kept before stays.
        """
        missing = [path for path in paths if _mapped(self.entry(path)) is None]
        if missing:
            in_threads(
                lambda path: self.read(path, pixel_limit=pixel_limit), missing, f"decoding images into {self.folder}"
            )

    def _keep(self, entry: Path, pixels: np.ndarray) -> None:
        file = io.BytesIO()
        np.save(file, pixels, allow_pickle=False)
        try:
            write_whole(entry, file.getvalue(), durable=False)
        except InputError as error:
            raise InputError(
                error.what,
                where=self.folder,
                remedy="set data.init_args.cache to a folder with room that you can write, or to null",
            ) from error


def in_threads(work: Callable[[Path], T], paths: Sequence[Path], what: str) -> list[T]:
    """``work`` of every path, in order, on a few threads (image decoders release the interpreter).

    After the first seconds it writes to stderr how far it is.
    """
    done: list[T] = []
    shown = time.monotonic()
    with ThreadPoolExecutor(max_workers=4) as pool:
        try:
            for result in pool.map(work, paths):
                done.append(result)
                if time.monotonic() - shown > 5:
                    shown = time.monotonic()
                    print(f"{what}: {len(done)} of {len(paths)}", file=sys.stderr)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return done


def _mapped(entry: Path) -> np.memmap | None:
    """The entry, or None where there is none that is whole."""
    try:
        kept = np.load(entry, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    fits = isinstance(kept, np.memmap) and kept.dtype == np.uint8 and kept.ndim == 3 and kept.shape[2] == 3
    return kept if fits else None
