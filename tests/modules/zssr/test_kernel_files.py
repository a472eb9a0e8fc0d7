"""Kernels from files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import io

from srbench.errors import InputError
from srbench.modules.zssr.kernel_files import kernel_file, kernels_sha256, read_kernel

KERNEL = np.array([[0.0, 1.0, 0.0], [2.0, 4.0, 2.0], [0.0, 1.0, 0.0]]) / 10


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """The same kernel in every form."""
    io.savemat(tmp_path / "a.mat", {"Kernel": KERNEL, "sigma": 1.0})
    io.savemat(tmp_path / "b.mat", {"whatever": KERNEL})
    np.save(tmp_path / "c.npy", KERNEL.astype(np.float32) * 7)
    np.savetxt(tmp_path / "d.csv", KERNEL, delimiter=",")
    Image.fromarray((KERNEL * 200).round().astype(np.uint8)).save(tmp_path / "e.png")
    return {path.name: path for path in sorted(tmp_path.iterdir())}


def test_every_form_gives_the_same_kernel_of_sum_1(files: dict[str, Path]) -> None:
    assert len(files) == 5
    for path in files.values():
        assert torch.allclose(read_kernel(path), torch.from_numpy(KERNEL), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("no.npy", None, "there is no such file"),
        ("k.txt", b"1,2", "no kernel is read from such a file"),
        ("k.npy", b"not an array", "cannot be read as a kernel"),
        ("k.mat", b"not a matrix", "cannot be read as a kernel"),
        ("k.csv", b"a,b", "cannot be read as a kernel"),
        ("k.csv", b"", "cannot be read as a kernel"),
        ("k.csv", b"0,0", "sum is not a positive number"),
        ("k.csv", b"1,nan", "sum is not a positive number"),
        ("k.png", b"no picture", "cannot be read as a kernel"),
    ],
)
def test_what_is_no_kernel_is_refused_in_one_line(tmp_path: Path, name: str, content: bytes | None, what: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=what) as refused:
        read_kernel(tmp_path / name)
    assert str(refused.value).startswith(str(tmp_path / name))
    assert "\n" not in str(refused.value)


def test_a_matlab_file_of_several_matrices_must_name_the_kernel(tmp_path: Path) -> None:
    io.savemat(tmp_path / "k.mat", {"a": KERNEL, "b": KERNEL})
    with pytest.raises(InputError, match="2 matrices, none of them called Kernel"):
        read_kernel(tmp_path / "k.mat")


@pytest.mark.parametrize("tail", ["", "x4", "_x4", "_kernel_x4", "_ker_x4", "_kernel", "_ker"])
def test_a_folder_holds_one_per_image(tmp_path: Path, tail: str) -> None:
    file = tmp_path / f"im_1{tail}.npy"
    np.save(file, KERNEL)
    np.save(tmp_path / "im_10x4.npy", KERNEL)
    assert kernel_file(tmp_path, "im_1", 4) == file
    assert kernel_file(file, "anything", 4) == file
    with pytest.raises(InputError, match="no kernel of image im_2; add im_2"):
        kernel_file(tmp_path, "im_2", 4)


def test_two_kernels_of_an_image_are_refused(files: dict[str, Path]) -> None:
    folder = files["a.mat"].parent
    np.save(folder / "ax4.npy", KERNEL)
    with pytest.raises(InputError, match=r"a\.mat and ax4\.npy are both kernels of image a"):
        kernel_file(folder, "a", 4)


def test_absent_kernels_are_told_how_to_be_given(tmp_path: Path) -> None:
    said = r"kernels: there is no such file or folder of kernels; set --model\.init_args\.kernel"
    with pytest.raises(InputError, match=said):
        kernels_sha256(tmp_path / "kernels")


def test_the_hash_is_of_the_kernels_and_not_of_their_place(files: dict[str, Path], tmp_path: Path) -> None:
    folder = files["a.mat"].parent
    before = kernels_sha256(folder)
    (folder / "notes.txt").write_text("mine")
    assert kernels_sha256(folder) == before
    np.save(folder / "c.npy", KERNEL.T + 1)
    assert kernels_sha256(folder) != before
    assert kernels_sha256(files["d.csv"]) != kernels_sha256(files["e.png"])
    with pytest.raises(InputError):
        kernels_sha256(tmp_path / "absent.npy")
