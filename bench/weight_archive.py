"""One file out of a zip or tar archive of unknown origin: no links, no devices, nothing from outside the archive."""

from __future__ import annotations

import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from srbench.atomic import write_failed
from srbench.errors import InputError

_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, OSError)
_CHUNK = 2**20


def take_out(archive: Path, member: str, target: Path, *, largest: int) -> None:
    """Writes the content of one member to ``target``.

    Only that member is unpacked, and its name decides nothing about where it goes. An archive that holds a link, a
    device or a path that leads out of it is refused whole all the same: it was not made in good faith.

    Args:
        archive: a zip or tar file, compressed or not.
        member: the member's path, or its last part where only one member has that.
        target: the file to write.
        largest: bytes that are unpacked at most.

    Raises:
        InputError: it is no archive or a damaged one, has no such member or several, holds what is said above, or the
            member is larger than ``largest``; ``target`` cannot be written.
    """
    try:
        if zipfile.is_zipfile(archive):
            _from_zip(archive, member, target, largest)
        elif tarfile.is_tarfile(archive):
            _from_tar(archive, member, target, largest)
        else:
            raise InputError("it is no zip or tar archive", where=archive, remedy="fetch it again")
    except _DAMAGE as error:
        raise InputError(f"the archive is damaged ({error})", where=archive, remedy="fetch it again") from error


def _from_zip(archive: Path, member: str, target: Path, largest: int) -> None:
    with zipfile.ZipFile(archive) as held:
        for info in held.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where the archive was not made on Unix
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(archive, f"{info.filename} in it is no ordinary file")
        files = [info.filename for info in held.infolist() if not info.is_dir()]
        with held.open(_chosen(archive, files, member)) as source:
            _copy(archive, source, target, largest)


def _from_tar(archive: Path, member: str, target: Path, largest: int) -> None:
    with tarfile.open(archive) as held:
        for info in held.getmembers():
            if not (info.isfile() or info.isdir()):
                raise _refused(archive, f"{info.name} in it is no ordinary file")
        files = [info.name for info in held.getmembers() if info.isfile()]
        source = held.extractfile(_chosen(archive, files, member))
        assert source is not None  # it is a file
        with source:
            _copy(archive, source, target, largest)


def _chosen(archive: Path, files: Sequence[str], member: str) -> str:
    for name in files:
        outside = PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive or PureWindowsPath(name).root
        if outside or ".." in PureWindowsPath(name).parts:  # Windows' rules split at both slashes
            raise _refused(archive, f"{name} in it leads out of it")
    found = [name for name in files if name == member] or [n for n in files if PurePosixPath(n).name == member]
    if len(found) != 1:
        what = "several files" if found else "no file"
        raise InputError(f"it holds {what} {member}", where=archive, remedy="compare with the catalogue")
    return found[0]


def _copy(archive: Path, source: IO[bytes], target: Path, largest: int) -> None:
    try:
        file = target.open("wb")
    except OSError as error:
        raise write_failed(target, error) from error
    done = 0
    with file:
        while chunk := source.read(_CHUNK):  # counted here: what an archive says of its sizes may be wrong
            done += len(chunk)
            if done > largest:
                raise _refused(archive, f"a file in it unpacks to more than {largest} bytes")
            try:
                file.write(chunk)
            except OSError as error:
                raise write_failed(target, error) from error


def _refused(archive: Path, what: str) -> InputError:
    return InputError(what, where=archive, remedy="fetch the file by hand, if you trust that archive")
