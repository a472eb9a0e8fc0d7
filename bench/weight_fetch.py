"""Fetching a file of the catalogue: https only, resumed where it stopped, nameless until its hash is right.

What arrives is kept in a folder of its own, ``.fetching/NAME`` beside the target, with the server's mark of the version
it belongs to. Nothing here imports torch.
"""

from __future__ import annotations

import contextlib
import http
import http.client
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple
from urllib.parse import urlsplit

from srbench import __version__
from srbench.atomic import locked, write_failed, write_whole
from srbench.errors import InputError
from srbench.images import file_sha256
from srbench.weight_archive import take_out
from srbench.weight_files import WeightFile

LARGEST = 16 * 2**30
"""Bytes that are taken at most where the catalogue names no size."""

_CHUNK = 2**20
_PATIENCE = 15.0  # seconds without a byte, or without a connection

Report = Callable[[int, int], None]
"""(bytes so far, bytes in all or 0) while a file arrives."""


class Fetched(NamedTuple):
    """A file that is in place: where, its sha256, and whether it was there before."""

    path: Path
    sha256: str
    was_there: bool


def check_fetchable(weight: WeightFile, *, trust: bool) -> None:
    """Refuses what cannot be fetched, before anything is.

    Raises:
        InputError: it is no plain download, or no hash of it is publicly known and ``trust`` is not given.
    """
    if not weight.url:
        raise InputError("it cannot be had by a plain download", where=weight.name, remedy=weight.manual)
    if not (trust or weight.sha256 or weight.sha256_prefix):
        raise InputError(
            f"no hash of {weight.file} is publicly known, so nothing tells a right file from a wrong one",
            where=weight.name,
            remedy=f"give --trust to take what {urlsplit(weight.url).hostname} sends, and compare the printed hash",
        )


def fetch(
    weight: WeightFile,
    folder: Path,
    *,
    trust: bool = False,
    report: Report = lambda done, total: None,
    opener: urllib.request.OpenerDirector | None = None,
) -> Fetched:
    """Downloads a file into ``folder`` under the name its authors gave it.

    Args:
        weight: what to fetch.
        folder: where to; it is made.
        trust: take a file of which no hash is publicly known.
        report: told of the progress.
        opener: how addresses are opened; None takes https with this machine's certificates and proxy.

    Raises:
        InputError: see :func:`check_fetchable`; no network, an answer other than the file, an address that is not
            https, a size or a hash that is not the published one, a full disk. Nothing lies under the final name
            then; what arrived is kept for the next time, unless it was wrong.
    """
    check_fetchable(weight, trust=trust)
    target = folder / weight.file
    if target.is_file():
        found = file_sha256(target)
        if found.startswith(weight.digest()):
            return Fetched(target, found, was_there=True)
        raise InputError(
            f"another file lies there: its sha256 starts {found[:8]}, not {weight.digest()[:8]}",
            where=target,
            remedy="move it away, or fetch to another folder with --to",
        )
    work = folder / ".fetching" / weight.name
    part = work / "part"
    try:
        with locked(work, patience=0, holding="this file"):
            found = _fetched(weight, part, opener or https_opener(), report)
            _into_place(part, target)
    finally:
        with contextlib.suppress(OSError):  # something is left there to go on with, or another fetch is under way
            work.rmdir()
            work.parent.rmdir()
    return Fetched(target, found, was_there=False)


def _fetched(weight: WeightFile, part: Path, opener: urllib.request.OpenerDirector, report: Report) -> str:
    """Makes ``part`` what the catalogue says, and gives its hash; leaves only what the next run can go on with."""
    try:
        download(weight, part, opener, report)
        found = _verified(weight, part)
        if weight.member:
            found = _unpack(weight, part)
    finally:
        part.with_name("member").unlink(missing_ok=True)
        if not part.exists():
            part.with_name("version").unlink(missing_ok=True)
    part.with_name("version").unlink(missing_ok=True)
    return found


def download(weight: WeightFile, part: Path, opener: urllib.request.OpenerDirector, report: Report) -> None:
    """Brings ``part`` to its full size, from where it stopped when the server still has that version.

    Raises:
        InputError: see :func:`fetch`.
    """
    mark = part.with_name("version")
    held = part.stat().st_size if part.is_file() and mark.is_file() else 0
    if weight.size and held == weight.size:
        return
    headers = {"User-Agent": f"srbench/{__version__}", "Accept-Encoding": "identity"}
    if held:
        headers |= {"Range": f"bytes={held}-", "If-Range": mark.read_text(encoding="utf-8")}
    request = urllib.request.Request(weight.url, headers=headers)
    try:
        with _told(weight), opener.open(request, timeout=_PATIENCE) as answer:
            _receive(weight, answer, part, held, report)
    except _NothingLeft:  # the server has no byte after those that are here, and they are not known to be all
        mark.unlink()
        download(weight, part, opener, report)


def https_opener(context: ssl.SSLContext | None = None) -> urllib.request.OpenerDirector:
    """Opens https addresses and nothing else, redirects included; a proxy is what ``https_proxy`` says."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler({k: v for k, v in urllib.request.getproxies().items() if k == "https"}),
        urllib.request.HTTPSHandler(context=context or ssl.create_default_context()),
        _HttpsRedirects(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


class _NothingLeft(Exception):
    """Asked to go on, the server answered that the file ends there."""


class _HttpsRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https addresses only."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """The next request; its headers, Range among them, are those of the first."""
        if urlsplit(newurl).scheme != "https":
            raise InputError(
                f"the server sends us on to {newurl[:200]}, which is not https",
                where=req.full_url,
                remedy="fetch the file by hand, if you trust that address, and look at its hash",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@contextlib.contextmanager
def _told(weight: WeightFile) -> Iterator[None]:
    """What the network raises, as one line each."""
    host = urlsplit(weight.url).hostname
    try:
        yield
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise _NothingLeft from error
        remedy = f"see {weight.url}; a file that moved can be fetched by hand into the folder of weights"
        raise InputError(f"{host} answers {error.code} {error.reason}", where=weight.name, remedy=remedy) from error
    except http.client.HTTPException as error:
        raise InputError(
            f"{host} broke off ({error or type(error).__name__})", where=weight.name, remedy="run it again to go on"
        ) from error
    except OSError as error:  # URLError, timeouts and broken connections are some
        reason = getattr(error, "reason", None) or error
        raise InputError(
            f"{host} cannot be reached ({getattr(reason, 'strerror', None) or reason or type(reason).__name__})",
            where=weight.name,
            remedy="run it again when there is a network, or fetch the file elsewhere and copy it here",
        ) from error


def _receive(weight: WeightFile, answer: http.client.HTTPResponse, part: Path, held: int, report: Report) -> None:
    start = _start(answer, held)
    left = int(answer.headers.get("Content-Length") or 0)
    total = start + left if left else 0
    _check_size(weight, total)
    _note_version(answer, part.with_name("version"))
    done = start
    with _opened(part, "r+b" if start else "wb") as file:
        file.seek(start)
        while chunk := answer.read(_CHUNK):
            done += len(chunk)
            if done > (weight.size or LARGEST):
                _check_size(weight, done)
            _append(part, file, chunk)
            report(done, total)
        file.truncate()
    if done < (total or weight.size):
        raise http.client.HTTPException(f"the connection ended after {done} of {total or weight.size} bytes")


def _start(answer: http.client.HTTPResponse, held: int) -> int:
    """The place in the file at which the answer starts."""
    if answer.status != 206:
        return 0
    given = str(answer.headers.get("Content-Range") or "").removeprefix("bytes ").partition("-")[0]
    if given != str(held):
        raise http.client.HTTPException(f"asked for bytes from {held}, got {given or 'an unknown place'}")
    return held


def _check_size(weight: WeightFile, size: int) -> None:
    if weight.size and size and size != weight.size:
        what = f"the server sends {size} bytes or more, published are {weight.size}: it is another file"
    elif size > LARGEST:
        what = f"it is larger than the {LARGEST} bytes that are taken at most"
    else:
        return
    raise InputError(what, where=weight.name, remedy=f"look at {weight.url}")


def _note_version(answer: http.client.HTTPResponse, mark: Path) -> None:
    """Keeps the server's mark of what it sends, without which no later answer can go on where this one stops."""
    version = answer.headers.get("ETag") or ""
    if version and not version.startswith("W/"):  # a weak mark promises no equal bytes
        write_whole(mark, version.encode())
    else:
        mark.unlink(missing_ok=True)


def _opened(part: Path, mode: str) -> IO[bytes]:
    try:
        return part.open(mode, buffering=0)  # nothing is left to write when it closes
    except OSError as error:
        raise write_failed(part, error) from error


def _append(part: Path, file: IO[bytes], chunk: bytes) -> None:
    left = memoryview(chunk)
    try:
        while left:
            left = left[file.write(left) :]
    except OSError as error:  # its remedy speaks of the disk, not of the network
        raise write_failed(part, error) from error


def _verified(weight: WeightFile, part: Path) -> str:
    """The hash of what arrived; a wrong file is thrown away."""
    found = file_sha256(part)
    published = weight.sha256 or weight.sha256_prefix
    if not found.startswith(published):
        part.unlink()
        raise InputError(
            f"what arrived has the sha256 {found}, published is {published}; it was thrown away",
            where=weight.name,
            remedy=f"run it again; if the hash stays the same, {weight.url} holds another file than the catalogue says",
        )
    return found


def _unpack(weight: WeightFile, archive: Path) -> str:
    """Puts the wanted file of an archive in the archive's place, and gives its hash; a bad archive is thrown away."""
    taken = archive.with_name("member")
    try:
        take_out(archive, weight.member, taken, largest=LARGEST)
        found = file_sha256(taken)
        if not found.startswith(weight.member_sha256):
            raise InputError(
                f"{weight.member} in it has the sha256 {found}, published is {weight.member_sha256}",
                where=archive,
                remedy=f"look at {weight.url}",
            )
    except InputError as error:
        if error.where == str(archive):  # not the disk
            archive.unlink()
        raise
    archive.with_name("version").unlink(missing_ok=True)  # first: a part without its mark is not gone on with
    taken.replace(archive)
    return found


def _into_place(arrived: Path, target: Path) -> None:
    try:
        with arrived.open("rb") as file:
            os.fsync(file.fileno())
        arrived.replace(target)
    except OSError as error:
        raise write_failed(target, error) from error
