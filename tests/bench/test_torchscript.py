"""Tensors out of TorchScript archives, against what torch.jit reads, and archives that want something else."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from srbench.errors import InputError
from srbench.torchscript import read_tensors


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.low = nn.Linear(4, 2).half()
        self.transposed = nn.Parameter(torch.arange(6.0).reshape(2, 3).T)
        self.sizes = [1, 2, 3]
        self.register_buffer("count", torch.tensor(7))
        self.register_buffer("flags", torch.tensor([True, False]))
        self.register_buffer("nothing", torch.empty(0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.first(x)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "net.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(Net().eval()), str(path))
    return path


def rewritten(archive: Path, name: str, content: bytes) -> Path:
    """A copy with one member replaced."""
    copy = archive.with_name("copy.pt")
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(copy, "w") as new:
        for member in old.namelist():
            new.writestr(member, content if member.endswith(name) else old.read(member))
    return copy


def test_every_tensor_as_torch_reads_it(archive: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = torch.jit.load(str(archive)).state_dict()
    found = read_tensors(archive)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor), name
    assert found["low.weight"].dtype == torch.float16


def test_the_program_is_not_even_read(archive: Path) -> None:
    with zipfile.ZipFile(archive) as whole:
        code = next(name for name in whole.namelist() if name.endswith(".py"))
    assert (
        read_tensors(rewritten(archive, code, b"import os\nnot TorchScript at all")).keys()
        == read_tensors(archive).keys()
    )


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


def test_a_pickle_that_calls_is_refused_unexecuted(archive: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with pytest.raises(InputError, match="nothing in it was executed"):
        read_tensors(rewritten(archive, "data.pkl", pickle.dumps(Evil(mark))))
    assert not mark.exists()


def test_damage_is_one_line(archive: Path, tmp_path: Path) -> None:
    no_zip = tmp_path / "text.pt"
    no_zip.write_text("no archive")
    for path in (
        no_zip,
        rewritten(archive, "data.pkl", b""),
        rewritten(archive, "data.pkl", pickle.dumps({"a": 1})),
        rewritten(archive, "data/0", b"\0" * 3),
        rewritten(archive, "data/0", b"\0" * 8),
    ):
        with pytest.raises(InputError, match="it is damaged, or no TorchScript archive") as caught:
            read_tensors(path)
        assert "\n" not in str(caught.value)
