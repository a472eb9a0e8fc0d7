"""``srbench analyze kernel``: the kernel that KernelGAN finds in an image, as numbers and as a picture."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from srbench.errors import InputError
from srbench.findings import Findings, Rows
from srbench.images import Pixels, by_stem, list_images, read_image, to_tensor

if TYPE_CHECKING:
    from srbench.module import SRModule
    from srbench.modules.kernelgan.kernels import Kernel

ANALYSIS = {
    "name": "kernel",
    "summary": "the blur kernel that KernelGAN estimates from an image",
    "model": True,
}

_DOT = 12
"""Pixels of the picture that show one of the kernel."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the analysis' options."""
    parser.add_argument("--images", metavar="PATH", nargs="+", required=True, help="lq: files and folders")
    parser.add_argument(
        "--truth", metavar="FILE", help="the x2 kernel lq were made with, .npy or .csv without header, to compare with"
    )


def run(given: argparse.Namespace, model: SRModule, progress: Callable[[int, int], None]) -> Findings:
    """Estimates the kernel of every image; the numbers drawn are those of ``srbench test`` on an image of that name.

    Returns:
        ``kernels.csv``, a row per image and scale: centre of mass in pixels from the first, standard deviations along
        the axes, and at x2 the centre of mass before it was moved to the middle and, with a truth, the correlation with
        it and the distance of that centre from the truth's; per image and scale the kernel as ``kernel_NAME_xS.csv``
        (without header) and as a picture.

    Raises:
        InputError: an image or the truth is unfit, or the model is no KernelGAN.
    """
    from srbench.modules.kernelgan.kernelgan import KernelGAN

    if not isinstance(model, KernelGAN):
        raise InputError(
            f"{type(model).__name__} estimates no kernel", where="--config", remedy="use methods/kernelgan/test.yaml"
        )
    files = _files(given.images)
    truth = None if given.truth is None else read_truth(Path(given.truth), model.search.kernel_size)
    rows: list[dict[str, Any]] = []
    held: dict[str, Rows | Pixels | str] = {"kernels.csv": rows}
    for done, (name, path) in enumerate(files.items(), 1):
        lq = to_tensor(read_image(path).pixels)[None].to(model.device)
        found = model.estimate(lq, name, model.generator(name))
        for scale, kernel in model.kernels(found).items():
            own = (found.raw, truth) if scale == 2 else (None, None)
            rows.append({"image": name, "scale": scale, **_row(kernel, *own), "remark": found.fault or ""})
            held[f"kernel_{name}_x{scale}.csv"] = as_table(kernel)
            held[f"kernel_{name}_x{scale}.png"] = picture(kernel)
        progress(done, len(files))
    return Findings(held, [_line(row) for row in rows])


def read_truth(path: Path, size: int) -> Kernel:
    """A square kernel from a file, of sum 1, with zeros around it or without its empty frame to have (size,size).

    Its first pixel lies where the file says: lq pixel i is ``sum_a kernel[a] gt[2*i + a - k//2]``.

    Raises:
        InputError: it cannot be read, is no kernel, or does not fit.
    """
    try:
        kernel = np.load(path) if path.suffix == ".npy" else np.loadtxt(path, delimiter=",", ndmin=2)
    except (OSError, ValueError) as error:
        raise InputError(f"it cannot be read as a kernel ({error})", where=path, remedy="give .npy or .csv") from error
    kernel = np.asarray(kernel, dtype=np.float64)
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1] or len(kernel) % 2 == 0:
        raise InputError(f"a kernel is square and odd, not {kernel.shape}", where=path, remedy="pad it with zeros")
    if not np.isfinite(kernel).all() or kernel.sum() <= 0:
        raise InputError("its sum is no positive number", where=path, remedy="give a kernel that sums to 1")
    if len(kernel) > size:
        cut = (len(kernel) - size) // 2
        whole, kernel = kernel, kernel[cut:-cut, cut:-cut]
        if np.abs(kernel).sum() < 0.99 * np.abs(whole).sum():
            raise InputError(
                f"over 1 % of it lies outside of {size}x{size} pixels", where=path, remedy="compare a smaller one"
            )
    wide = np.pad(kernel, (size - len(kernel)) // 2)
    return np.asarray(wide / wide.sum())


def as_table(kernel: Kernel) -> str:
    """A kernel as CSV without header, with all digits."""
    return "".join(",".join(repr(float(value)) for value in row) + "\n" for row in kernel)


def picture(kernel: Kernel) -> Pixels:
    """A kernel in grey, white where it is largest; entries below 0 are black."""
    grey = np.clip(kernel / kernel.max(), 0.0, 1.0)
    pixels = np.rint(grey * 255).astype(np.uint8).repeat(_DOT, 0).repeat(_DOT, 1)
    return np.repeat(pixels[..., None], 3, axis=2)


def _row(kernel: Kernel, raw: Kernel | None, truth: Kernel | None) -> dict[str, Any]:
    from srbench.modules.kernelgan.kernels import centre_of_mass

    row, column = centre_of_mass(kernel)
    grid = np.arange(len(kernel))
    deviations = [float(np.sqrt(max(kernel.sum(axis) @ (grid - at) ** 2, 0.0))) for axis, at in ((1, row), (0, column))]
    before: tuple[Any, Any] = ("", "") if raw is None else centre_of_mass(raw)
    compared: dict[str, Any] = {"correlation": "", "distance": ""}
    if truth is not None:
        compared["correlation"] = float(np.corrcoef(kernel.ravel(), truth.ravel())[0, 1])
        there = centre_of_mass(truth)
        compared["distance"] = float(np.hypot(*np.subtract((row, column) if raw is None else before, there)))
    return {
        "size": len(kernel),
        "row": row,
        "column": column,
        "std_rows": deviations[0],
        "std_columns": deviations[1],
        "row_before": before[0],
        "column_before": before[1],
        **compared,
    }


def _line(row: dict[str, Any]) -> str:
    text = f"{row['image']}  x{row['scale']}  std {row['std_rows']:.2f} x {row['std_columns']:.2f}"
    if row["correlation"] != "":
        text += f"  correlation {row['correlation']:.4f}  centres apart {row['distance']:.3f}"
    return text + (f"  ({row['remark']})" if row["remark"] else "")


def _files(paths: Sequence[str]) -> dict[str, Path]:
    files = [file for path in map(Path, paths) for file in (list_images(path) if path.is_dir() else [path])]
    return by_stem(files)
