"""The tensors of a TorchScript archive, read without loading the program that is in it.

``torch.load(weights_only=True)`` refuses such archives and ``torch.jit.load`` compiles their code. An archive is a zip
with a pickle of nested module objects; here every class in it becomes an inert holder of attributes.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srbench.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


_DAMAGE = (
    zipfile.BadZipFile,
    pickle.UnpicklingError,
    LookupError,
    ValueError,
    TypeError,
    EOFError,
    AttributeError,
    RuntimeError,
)
"""What zipfile, pickle and torch raise when bytes are missing or are not what they should be."""


class _Node:
    """An object of the archive: its attributes, none of its code."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Every tensor of an archive by its dotted name: parameters, buffers, and other attributes that are tensors.

    Args:
        path: what ``torch.jit.save`` wrote.

    Raises:
        InputError: it is none, it is damaged, or its pickle asks for anything but tensors and plain values.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            tensors: dict[str, Tensor] = {}
            _collect(_Reader(archive).load(), "", tensors)
            return tensors
    except _DAMAGE as error:
        raise InputError(
            "it is damaged, or no TorchScript archive; nothing in it was executed", where=path, remedy="fetch it again"
        ) from error


def _collect(held: Any, prefix: str, tensors: dict[str, Tensor]) -> None:
    import torch

    for name, value in vars(held).items():
        if isinstance(value, torch.Tensor):
            tensors[f"{prefix}{name}"] = value
        elif isinstance(value, _Node):
            _collect(value, f"{prefix}{name}.", tensors)


class _Reader(pickle.Unpickler):
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._root = archive.namelist()[0].partition("/")[0]
        super().__init__(io.BytesIO(archive.read(f"{self._root}/data.pkl")))

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("__torch__"):
            return _Node
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name.endswith("Storage"):
            return name
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch.jit._pickle":  # lists of numbers, and values with their type beside them
            return lambda value, *_: value
        raise pickle.UnpicklingError(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Tensor:
        import torch

        _, kind, key, _, count = pid
        dtypes = {
            "FloatStorage": torch.float32,
            "HalfStorage": torch.float16,
            "BFloat16Storage": torch.bfloat16,
            "DoubleStorage": torch.float64,
            "LongStorage": torch.int64,
            "IntStorage": torch.int32,
            "ByteStorage": torch.uint8,
            "BoolStorage": torch.bool,
        }
        data = bytearray(self._archive.read(f"{self._root}/data/{key}"))
        return torch.frombuffer(data, dtype=dtypes[kind], count=count) if count else torch.empty(0, dtype=dtypes[kind])


def _tensor(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    return storage.as_strided(size, stride, offset)
