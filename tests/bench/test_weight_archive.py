"""Archives: the wanted file comes out whole, and nothing else happens."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from srbench.errors import InputError
from srbench.weight_archive import take_out

CONTENT = bytes(range(256)) * 5000
LARGEST = 2**24

Pack = Callable[[dict[str, bytes]], Path]


def packed_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def packed_tar(path: Path, files: dict[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture(params=["zip", "tar", "tar.gz", "tar.xz"])
def pack(request: pytest.FixtureRequest, tmp_path: Path) -> Pack:
    """Makes an archive of each kind; its name says nothing, as a download's does."""
    mode = {"tar": "w", "tar.gz": "w:gz", "tar.xz": "w:xz"}.get(request.param, "")
    path = tmp_path / "part"
    return lambda files: packed_tar(path, files, mode) if mode else packed_zip(path, files)


def test_the_member_comes_out_whole_and_alone(pack: Pack, tmp_path: Path) -> None:
    archive = pack({"sr_bsr/other.txt": b"x", "sr_bsr/model.ckpt": CONTENT})
    take_out(archive, "model.ckpt", tmp_path / "out", largest=LARGEST)
    assert (tmp_path / "out").read_bytes() == CONTENT
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "part"]


def test_a_full_path_chooses_between_equal_names(pack: Pack, tmp_path: Path) -> None:
    archive = pack({"a/model.ckpt": b"first", "b/model.ckpt": b"second"})
    take_out(archive, "b/model.ckpt", tmp_path / "out", largest=LARGEST)
    assert (tmp_path / "out").read_bytes() == b"second"
    with pytest.raises(InputError, match=r"several files model\.ckpt"):
        take_out(archive, "model.ckpt", tmp_path / "out", largest=LARGEST)


def test_a_missing_member_is_told(pack: Pack, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file model\.ckpt"):
        take_out(pack({"model.txt": b"x"}), "model.ckpt", tmp_path / "out", largest=LARGEST)


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "..\\evil", "C:\\evil", "\\evil"])
def test_paths_that_lead_out_are_refused(pack: Pack, tmp_path: Path, name: str) -> None:
    archive = pack({"model.ckpt": CONTENT, name: b"x"})
    with pytest.raises(InputError, match="leads out of it"):
        take_out(archive, "model.ckpt", tmp_path / "out", largest=LARGEST)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path.parent / "evil").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    path = packed_tar(tmp_path / "part", {"model.ckpt": CONTENT}, "w")
    with tarfile.open(path, "a") as archive:
        info = tarfile.TarInfo("other")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(InputError, match="other in it is no ordinary file"):
        take_out(path, "model.ckpt", tmp_path / "out", largest=LARGEST)


def test_links_in_zip_are_refused(tmp_path: Path) -> None:
    path = packed_zip(tmp_path / "part", {})
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo("model.ckpt")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(InputError, match="no ordinary file"):
        take_out(path, "model.ckpt", tmp_path / "out", largest=LARGEST)


def test_a_member_that_unpacks_to_too_much_is_refused(pack: Pack, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="more than 1000 bytes"):
        take_out(pack({"model.ckpt": bytes(10**6)}), "model.ckpt", tmp_path / "out", largest=1000)


def test_damage_is_told(pack: Pack, tmp_path: Path) -> None:
    archive = pack({"model.ckpt": CONTENT * 3})
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"damaged|no zip or tar"):
        take_out(archive, "model.ckpt", tmp_path / "out", largest=LARGEST)


def test_a_flipped_bit_in_zip_is_told(tmp_path: Path) -> None:
    archive = packed_zip(tmp_path / "part", {"model.ckpt": CONTENT})
    data = bytearray(archive.read_bytes())
    data[200] ^= 1
    archive.write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        take_out(archive, "model.ckpt", tmp_path / "out", largest=LARGEST)


def test_no_archive_at_all_is_told(tmp_path: Path) -> None:
    (tmp_path / "part").write_text("<html>not found</html>")
    with pytest.raises(InputError, match="no zip or tar"):
        take_out(tmp_path / "part", "model.ckpt", tmp_path / "out", largest=LARGEST)
