"""Blur kernels from files: .mat, .npy, .csv and .png; one for all images, or a folder with one for each."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import io
from torch import Tensor

from srbench.errors import InputError
from srbench.images import file_sha256, fingerprint
from srbench.modules.zssr.geometry import checked_kernel

ENDINGS = (".mat", ".npy", ".csv", ".png")

_REMEDY = "set --model.init_args.kernel to a kernel's file or to a folder with one per image"


def read_kernel(path: str | Path) -> Tensor:
    """A kernel (k,l) float64 of sum 1.

    Args:
        path: a MATLAB file with one matrix (or one called ``Kernel``, ``kernel`` or ``ker``), a NumPy array, a table of
            numbers separated by commas, or a grey picture whose brightness is the weight.

    Raises:
        InputError: it is missing, of another kind, damaged, or holds no kernel.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("there is no such file", where=path, remedy=_REMEDY)
    try:
        values = _values(path)
    except InputError:
        raise
    except Exception as error:  # the readers raise many kinds for damaged files
        what = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"it cannot be read as a kernel ({what})", where=path) from error
    return torch.from_numpy(checked_kernel(values, where=str(path)))


def kernel_file(place: str | Path, name: str, scale: int) -> Path:
    """Where the kernel of an image lies.

    Args:
        place: a file, which holds for every image; or a folder with a file for each.
        name: the image's.
        scale: files may be called ``NAME``, ``NAMExS``, ``NAME_xS``, ``NAME_kernel_xS``, ``NAME_ker_xS``,
            ``NAME_kernel`` or ``NAME_ker``.

    Raises:
        InputError: there is none, or two.
    """
    place = Path(place)
    if not place.is_dir():
        return place
    tails = ("", f"x{scale}", f"_x{scale}", f"_kernel_x{scale}", f"_ker_x{scale}", "_kernel", "_ker")
    found = [file for tail in tails for ending in ENDINGS if (file := place / f"{name}{tail}{ending}").is_file()]
    if not found:
        raise InputError(f"no kernel of image {name}", where=place, remedy=f"add {name}.mat (or .npy, .csv, .png)")
    if len(found) > 1:
        what = f"{found[0].name} and {found[1].name} are both kernels of image {name}"
        raise InputError(what, where=place, remedy="keep one of them")
    return found[0]


def kernels_sha256(place: str | Path) -> str:
    """Hash of a kernel's file or of all kernels in a folder, by name and content.

    Raises:
        InputError: it is not there.
    """
    place = Path(place)
    if not place.exists():
        raise InputError("there is no such file or folder of kernels", where=place, remedy=_REMEDY)
    if not place.is_dir():
        return file_sha256(place)
    files = sorted(file for file in place.iterdir() if file.suffix in ENDINGS)
    return fingerprint([(file.name, file) for file in files])


def _values(path: Path) -> NDArray[np.generic]:
    ending = path.suffix.lower()
    if ending == ".mat":
        return _from_matlab(path)
    if ending == ".npy":
        return np.asarray(np.load(path, allow_pickle=False))
    if ending == ".csv":
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of an empty file NumPy only warns
            return np.loadtxt(path, delimiter=",", ndmin=2)
    if ending == ".png":
        with Image.open(path) as image:
            return np.asarray(image.convert("F"))
    raise InputError("no kernel is read from such a file", where=path, remedy=f"give one of {', '.join(ENDINGS)}")


def _from_matlab(path: Path) -> NDArray[np.generic]:
    held = {name: value for name, value in io.loadmat(str(path)).items() if not name.startswith("__")}
    named = [held[name] for name in ("Kernel", "kernel", "ker") if name in held]
    if not named and len(held) != 1:
        what = f"it holds {len(held)} matrices, none of them called Kernel"
        raise InputError(what, where=path, remedy="save the kernel under that name")
    return np.asarray(named[0] if named else next(iter(held.values())))
