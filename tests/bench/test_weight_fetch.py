"""Fetching, from a server of the test's own: what arrives, what is refused, and what lies there afterwards."""

from __future__ import annotations

import dataclasses
import hashlib
import http.client
import http.server
import io
import json
import shutil
import socket
import ssl
import subprocess
import tarfile
import threading
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from srbench import weight_fetch, weight_files
from srbench.atomic import locked, write_failed
from srbench.cli import main
from srbench.errors import InputError
from srbench.weight_fetch import fetch, https_opener
from srbench.weight_files import WeightFile

DATA = b"".join(hashlib.sha256(str(i).encode()).digest() for i in range(2**15))  # 1 MiB that does not repeat
SHA = hashlib.sha256(DATA).hexdigest()
WEIGHT = WeightFile(
    name="made",
    family="made",
    file="net.pth",
    licence="MIT",
    url="https://weights.test/net.pth",
    size=len(DATA),
    sha256=SHA,
)


class Server:
    """What the server holds, how it misbehaves, and what it was asked."""

    def __init__(self) -> None:
        self.data = DATA
        self.version: str | None = '"one"'
        self.stop_after: int | None = None
        self.ranges = True
        self.status = 200
        self.location: str | None = None
        self.claimed: int | None = None
        self.lie_about_start = False
        self.asked: list[dict[str, str]] = []
        self.paths: list[str] = []

    def answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        asked = {name.lower(): value for name, value in handler.headers.items()}
        self.asked.append(asked)
        self.paths.append(handler.path)
        if self.location is not None and handler.path != "/moved":
            handler.send_response(302)
            handler.send_header("Location", self.location)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        start = self._start(asked)
        if start >= len(self.data):
            handler.send_response(416)
            handler.end_headers()
            return
        body = self.data[start:]
        handler.send_response(206 if start else self.status)
        if start:
            first = start + 1 if self.lie_about_start else start
            handler.send_header("Content-Range", f"bytes {first}-{len(self.data) - 1}/{len(self.data)}")
        if self.version is not None:
            handler.send_header("ETag", self.version)
        handler.send_header("Content-Length", str(len(body) if self.claimed is None else self.claimed))
        handler.end_headers()
        handler.wfile.write(body[: self.stop_after])

    def _start(self, asked: dict[str, str]) -> int:
        fits = self.version is not None and asked.get("if-range") == self.version
        given = asked.get("range", "")
        return int(given.removeprefix("bytes=").rstrip("-")) if self.ranges and fits and given else 0


def serving(state: Server, context: ssl.SSLContext | None = None) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self)
            self.close_connection = True

        def log_message(self, *args: Any) -> None:
            pass

    class Quiet(http.server.ThreadingHTTPServer):
        def handle_error(self, *args: Any) -> None:  # a client that refuses the certificate is meant to
            pass

    served = Quiet(("127.0.0.1", 0), Handler)
    if context is not None:
        served.socket = context.wrap_socket(served.socket, server_side=True)
    thread = threading.Thread(target=served.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield served.server_address[1]
    served.shutdown()
    served.server_close()
    thread.join()


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def port(server: Server) -> Iterator[int]:
    yield from serving(server)


@pytest.fixture
def opener(port: int) -> urllib.request.OpenerDirector:
    """The real opener, whose https connections end unencrypted at the test's server."""

    class ToTheTest(urllib.request.HTTPSHandler):
        handler_order = 100  # before the real one

        def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
            def connect(host: str, **options: Any) -> http.client.HTTPConnection:
                return http.client.HTTPConnection("127.0.0.1", port, timeout=options["timeout"])

            return self.do_open(connect, req)

    made = https_opener()
    made.add_handler(ToTheTest())
    return made


Get = Callable[..., weight_fetch.Fetched]


@pytest.fixture
def get(opener: urllib.request.OpenerDirector, tmp_path: Path) -> Get:
    """Fetches into ``tmp_path / "to"``; keyword arguments change the catalogue's entry."""

    def fetch_it(trust: bool = False, report: Any = None, **changes: Any) -> weight_fetch.Fetched:
        weight = dataclasses.replace(WEIGHT, **changes)
        options = {} if report is None else {"report": report}
        return fetch(weight, tmp_path / "to", trust=trust, opener=opener, **options)

    return fetch_it


def left(tmp_path: Path) -> list[str]:
    """Every file below the target folder."""
    root = tmp_path / "to"
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


# ------------------------------------------------------------------------------------------------- the good case


def test_a_file_arrives_whole_under_its_name_and_nothing_else_stays(get: Get, server: Server, tmp_path: Path) -> None:
    shown: list[tuple[int, int]] = []
    done = get(report=lambda *step: shown.append(step))
    assert done == (tmp_path / "to" / "net.pth", SHA, False)
    assert done.path.read_bytes() == DATA
    assert list((tmp_path / "to").iterdir()) == [done.path]
    assert shown[-1] == (len(DATA), len(DATA))
    assert [step[0] for step in shown] == sorted(step[0] for step in shown)
    assert "range" not in server.asked[0]
    assert server.asked[0]["accept-encoding"] == "identity"


def test_a_file_that_is_there_is_not_fetched_again(get: Get, server: Server) -> None:
    get()
    assert get().was_there
    assert len(server.asked) == 1


def test_another_file_in_the_way_is_left_alone(get: Get, server: Server, tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "net.pth").write_text("mine")
    with pytest.raises(InputError, match="another file lies there"):
        get()
    assert (tmp_path / "to" / "net.pth").read_text() == "mine"
    assert server.asked == []


def test_https_redirects_are_followed(get: Get, server: Server) -> None:
    server.location = "https://elsewhere.test/moved"
    assert get().sha256 == SHA
    assert server.paths == ["/net.pth", "/moved"]


def test_eight_published_digits_are_held_to_as_well(get: Get, tmp_path: Path) -> None:
    assert get(sha256="", sha256_prefix=SHA[:8]).sha256 == SHA
    with pytest.raises(InputError, match="published is 00000000"):
        get(sha256="", sha256_prefix="0" * 8, file="other.pth")
    assert left(tmp_path) == ["net.pth"]


# ------------------------------------------------------------------------------------------------- what goes wrong


def test_a_wrong_hash_gets_no_name_and_is_thrown_away(get: Get, server: Server, tmp_path: Path) -> None:
    server.data = DATA[:-1] + b"x"
    wrong = hashlib.sha256(server.data).hexdigest()
    with pytest.raises(InputError, match=f"has the sha256 {wrong}, published is {SHA}; it was thrown away"):
        get()
    assert left(tmp_path) == []
    server.data = DATA
    assert get().sha256 == SHA
    assert "range" not in server.asked[-1]


@pytest.mark.parametrize("location", ["http://elsewhere.test/moved", "ftp://elsewhere.test/moved"])
def test_a_redirect_away_from_https_is_refused(get: Get, server: Server, tmp_path: Path, location: str) -> None:
    server.location = location
    with pytest.raises(InputError, match=r"not https|answers 302"):
        get()
    assert len(server.asked) == 1, "the other address must not be asked"
    assert left(tmp_path) == []


def test_a_circle_of_redirects_ends(get: Get, server: Server) -> None:
    server.location = "https://weights.test/net.pth"
    with pytest.raises(InputError, match="answers 302"):
        get()
    assert len(server.asked) < 20


@pytest.mark.parametrize("url", ["http://weights.test/net.pth", "file:///etc/passwd", "ftp://weights.test/net.pth"])
def test_nothing_but_https_is_opened(get: Get, server: Server, url: str) -> None:
    with pytest.raises(InputError, match="cannot be reached"):
        get(url=url)
    assert server.asked == []


def test_a_missing_page_is_told(get: Get, server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(InputError, match=r"weights.test answers 404 Not Found; see https://weights.test/net.pth"):
        get()
    assert left(tmp_path) == []


def test_a_size_that_is_not_the_published_one_is_refused_before_it_is_fetched(
    get: Get, server: Server, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=f"sends {len(DATA)} bytes or more, published are 5"):
        get(size=5)
    assert left(tmp_path) == []


def test_a_server_that_never_stops_is_stopped(
    get: Get, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weight_fetch, "LARGEST", len(DATA) - 1)
    with pytest.raises(InputError, match="larger than the"):
        get(size=0)
    assert left(tmp_path) == []


def test_without_a_network_one_line_says_so(tmp_path: Path) -> None:
    def lost(*args: Any, **options: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "create_connection", lost)
        patch.setattr(socket, "getaddrinfo", lost)
        with pytest.raises(InputError) as caught:
            fetch(WEIGHT, tmp_path / "to")
    assert str(caught.value).startswith("made: weights.test cannot be reached (Name or service not known); run")
    assert left(tmp_path) == []
    assert list((tmp_path / "to").iterdir()) == []


def test_a_server_that_says_nothing_is_not_waited_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_fetch, "_PATIENCE", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/net.pth"
        with pytest.raises(InputError, match=r"cannot be reached \(.*timed out"):
            fetch(dataclasses.replace(WEIGHT, url=url), tmp_path / "to")


@pytest.mark.parametrize("changes", [{"sha256": ""}, {"sha256": "", "size": 0}])
def test_without_a_published_hash_it_takes_trust(get: Get, server: Server, changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"no hash of net.pth is publicly known.*--trust"):
        get(**changes)
    assert server.asked == []
    assert get(trust=True, **changes).sha256 == SHA


def test_trust_does_not_outweigh_a_published_hash(get: Get, server: Server) -> None:
    server.data = DATA[:-1] + b"x"
    with pytest.raises(InputError, match="thrown away"):
        get(trust=True)


def test_what_is_no_download_says_how_to_get_it(get: Get) -> None:
    with pytest.raises(InputError, match="no way but by hand"):
        get(url="", manual="no way but by hand")


def test_two_at_once_do_not_mix(get: Get, tmp_path: Path) -> None:
    work = tmp_path / "to" / ".fetching" / "made"
    with locked(work), pytest.raises(InputError, match="another process is writing this file"):
        get()
    assert get().sha256 == SHA


def test_a_full_disk_is_told_as_such_and_what_arrived_is_kept(
    get: Get, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = weight_fetch._opened

    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            if self.tell() + len(data) > 5 * 10**5:
                raise OSError(28, "No space left on device")
            return super().write(data)

    monkeypatch.setattr(weight_fetch, "_CHUNK", 10**5)
    monkeypatch.setattr(weight_fetch, "_opened", lambda part, mode: Full(part, mode))
    with pytest.raises(InputError, match=r"No space left.*make room"):
        get()
    assert left(tmp_path) == [".fetching/made/part", ".fetching/made/version"]
    monkeypatch.setattr(weight_fetch, "_opened", real)
    assert get().sha256 == SHA
    assert server.asked[-1]["range"] == "bytes=500000-"


# ------------------------------------------------------------------------------------------------- going on


@pytest.mark.parametrize("size", [len(DATA), 0])
def test_a_download_that_broke_off_goes_on(get: Get, server: Server, tmp_path: Path, size: int) -> None:
    server.stop_after = 300_000
    with pytest.raises(InputError, match=r"weights.test broke off .*; run it again to go on"):
        get(size=size)
    assert left(tmp_path) == [".fetching/made/part", ".fetching/made/version"]
    with pytest.raises(InputError, match="broke off"):
        get(size=size)
    server.stop_after = None
    shown: list[tuple[int, int]] = []
    assert get(size=size, report=lambda *step: shown.append(step)).sha256 == SHA
    assert [asked.get("range") for asked in server.asked] == [None, "bytes=300000-", "bytes=600000-"]
    assert shown[0][0] > 600_000
    assert shown[-1] == (len(DATA), len(DATA))
    assert left(tmp_path) == ["net.pth"]


def test_another_version_starts_anew(get: Get, server: Server) -> None:
    server.stop_after, server.data = 300_000, DATA[::-1]
    with pytest.raises(InputError, match="broke off"):
        get()
    server.stop_after, server.data, server.version = None, DATA, '"two"'
    assert get().sha256 == SHA
    assert server.asked[-1]["if-range"] == '"one"'


@pytest.mark.parametrize("version", [None, 'W/"weak"'])
def test_without_a_strong_mark_it_starts_anew(get: Get, server: Server, version: str | None) -> None:
    server.version, server.stop_after = version, 300_000
    with pytest.raises(InputError, match="broke off"):
        get()
    server.stop_after = None
    assert get().sha256 == SHA
    assert "range" not in server.asked[-1]


def test_a_server_that_knows_no_ranges_starts_anew(get: Get, server: Server) -> None:
    server.stop_after = 300_000
    with pytest.raises(InputError, match="broke off"):
        get()
    server.stop_after, server.ranges = None, False
    assert get().sha256 == SHA


def test_an_answer_from_another_place_is_not_glued_on(get: Get, server: Server) -> None:
    server.stop_after = 300_000
    with pytest.raises(InputError, match="broke off"):
        get()
    server.stop_after, server.lie_about_start = None, True
    with pytest.raises(InputError, match="asked for bytes from 300000, got 300001"):
        get()


def test_a_part_that_was_spoilt_is_noticed_and_thrown_away(get: Get, server: Server, tmp_path: Path) -> None:
    server.stop_after = 300_000
    with pytest.raises(InputError, match="broke off"):
        get()
    part = tmp_path / "to" / ".fetching" / "made" / "part"
    part.write_bytes(b"x" + part.read_bytes()[1:])
    server.stop_after = None
    with pytest.raises(InputError, match="thrown away"):
        get()
    assert get().sha256 == SHA


@pytest.mark.parametrize("size", [len(DATA), 0])
def test_killed_between_the_last_byte_and_the_name(get: Get, server: Server, tmp_path: Path, size: int) -> None:
    work = tmp_path / "to" / ".fetching" / "made"
    work.mkdir(parents=True)
    (work / "part").write_bytes(DATA)
    (work / "version").write_text('"one"')
    assert get(size=size).sha256 == SHA
    assert len(server.asked) == (0 if size else 2)  # of unknown size: told that nothing is left, it starts anew


# ------------------------------------------------------------------------------------------------- archives


def test_the_member_of_an_archive_is_what_arrives(get: Get, server: Server, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("sr_bsr/model.ckpt", DATA)
    server.data = packed.getvalue()
    sha = hashlib.sha256(server.data).hexdigest()
    done = get(member="model.ckpt", sha256=sha, member_sha256=SHA, size=len(server.data), file="net.ckpt")
    assert (done.sha256, done.path.read_bytes()) == (SHA, DATA)
    assert left(tmp_path) == ["net.ckpt"]
    assert get(member="model.ckpt", sha256=sha, member_sha256=SHA, size=0, file="net.ckpt").was_there


def test_a_member_of_another_hash_gets_no_name(get: Get, server: Server, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("model.ckpt", b"other")
    server.data = packed.getvalue()
    with pytest.raises(InputError, match=r"model.ckpt in it has the sha256"):
        get(member="model.ckpt", sha256=hashlib.sha256(server.data).hexdigest(), member_sha256=SHA, size=0)
    assert left(tmp_path) == []


def test_an_archive_that_leads_out_is_refused(get: Get, server: Server, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in ("model.ckpt", "../../escaped"):
            info = tarfile.TarInfo(name)
            info.size = 4
            archive.addfile(info, io.BytesIO(b"data"))
    server.data = packed.getvalue()
    with pytest.raises(InputError, match="leads out of it"):
        get(member="model.ckpt", sha256=hashlib.sha256(server.data).hexdigest(), size=0)
    assert not list(tmp_path.rglob("escaped"))
    assert left(tmp_path) == []


def test_a_full_disk_while_unpacking_keeps_the_archive(
    get: Get, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("model.ckpt", DATA)
    server.data = packed.getvalue()
    changes = {"member": "model.ckpt", "sha256": hashlib.sha256(server.data).hexdigest(), "size": 0}

    def full(archive: Path, member: str, target: Path, *, largest: int) -> None:
        raise write_failed(target, OSError(28, "No space left on device"))

    with monkeypatch.context() as patch:
        patch.setattr(weight_fetch, "take_out", full)
        with pytest.raises(InputError, match="No space left"):
            get(**changes)
    assert get(**changes).sha256 == SHA


# ------------------------------------------------------------------------------------------------- real TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate and its key for 127.0.0.1, signed by itself."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run([*command.split(), "-keyout", f"{path}.key", "-out", path], check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.key").read_text())
    return path


@pytest.fixture
def secure(server: Server, certificate: Path) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    yield from serving(server, context)


def test_over_real_tls(secure: int, server: Server, certificate: Path, tmp_path: Path) -> None:
    weight = dataclasses.replace(WEIGHT, url=f"https://127.0.0.1:{secure}/net.pth")
    trusting = https_opener(ssl.create_default_context(cafile=certificate))
    assert fetch(weight, tmp_path, opener=trusting).sha256 == SHA


def test_a_certificate_that_nobody_signed_is_refused(secure: int, server: Server, tmp_path: Path) -> None:
    weight = dataclasses.replace(WEIGHT, url=f"https://127.0.0.1:{secure}/net.pth")
    with pytest.raises(InputError, match=r"CERTIFICATE_VERIFY_FAILED|certificate verify failed"):
        fetch(weight, tmp_path / "to")
    assert server.asked == []
    assert left(tmp_path) == []


# ------------------------------------------------------------------------------------------------- the command


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, bare_machine: Path, opener: urllib.request.OpenerDirector) -> Path:
    """A machine without files and without a network but the test's server; returns ``$SRBENCH_WEIGHTS``."""
    monkeypatch.setenv("SRBENCH_WEIGHTS", str(bare_machine / "to"))
    monkeypatch.setattr(weight_fetch, "https_opener", lambda: opener)
    entries = {
        "made": WEIGHT,
        "unhashed": dataclasses.replace(WEIGHT, name="unhashed", file="unhashed.mat", sha256="", noncommercial=True),
        "by_hand": dataclasses.replace(WEIGHT, name="by_hand", file="hand.pth", url="", manual="see the readme"),
    }
    monkeypatch.setattr(weight_files, "_catalogue", lambda: entries)
    return bare_machine / "to"


def test_fetch_list_and_check_together(machine: Path, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "fetch", "made"]) == 0
    out, err = capsys.readouterr()
    assert out == f"{machine / 'net.pth'}  fetched, sha256 {SHA}, as published\n"
    assert "net.pth  100 % of 1.0 MiB" in err
    assert main(["weights", "fetch", "made", "made"]) == 0
    assert capsys.readouterr().out.count("was there") == 1
    assert main(["weights", "list"]) == 0
    out = capsys.readouterr().out
    assert str(machine / "net.pth") in out
    assert "1 of 3 files are here" in out
    assert main(["weights", "check"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:2] == ["made", "ok"]


def test_check_notices_every_change(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "fetch", "made"]) == 0
    (machine / "net.pth").write_bytes(DATA[:-1] + b"x")
    (machine / "unhashed.mat").write_bytes(b"any")
    capsys.readouterr()
    assert main(["weights", "check", "--json"]) == 1
    states = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert states["made"]["state"] == "mismatch"
    assert f"published is {SHA}" in states["made"]["detail"]
    assert states["unhashed"]["state"] == "unknown hash"
    assert states["unhashed"]["detail"] == f"sha256 {hashlib.sha256(b'any').hexdigest()}"
    assert main(["weights", "check", "unhashed", "by_hand"]) == 0
    out = capsys.readouterr().out
    assert "missing" in out
    assert "see the readme" in out


def test_check_on_an_empty_machine(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "check"]) == 0
    assert "no file of the catalogue is here" in capsys.readouterr().out


def test_nothing_is_fetched_when_one_name_cannot_be(
    machine: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, says in (("unhashed", "--trust"), ("by_hand", "see the readme"), ("mad", "did you mean 'made'")):
        assert main(["weights", "fetch", "made", name]) == 2
        assert says in capsys.readouterr().err
    assert server.asked == []


def test_trust_prints_the_hash_and_the_licence(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "fetch", "unhashed", "--trust"]) == 0
    out, err = capsys.readouterr()
    assert f"sha256 {SHA}, no hash is published" in out
    assert "no commercial use" in err


def test_to_another_folder(machine: Path, tmp_path: Path) -> None:
    assert main(["weights", "fetch", "made", "--to", str(tmp_path / "elsewhere")]) == 0
    assert (tmp_path / "elsewhere" / "net.pth").read_bytes() == DATA
    assert not machine.exists()


def test_list_as_json_is_whole(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == ["by_hand", "made", "unhashed"]
    assert rows[0]["source"] == "see the readme"
    assert rows[1] | {"used_by": []} == {
        "name": "made", "file": "net.pth", "size": len(DATA), "licence": "MIT", "noncommercial": False,
        "state": "missing", "path": None, "used_by": [], "source": WEIGHT.url, "sha256": SHA, "sha256_prefix": None,
        "note": "", "looked_for": [str(place) for place in weight_files.places(WEIGHT)],
    }  # fmt: skip
    assert rows[1]["looked_for"][0] == str(machine / "net.pth")


def test_all_that_is_known_of_one_file(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "list", "made", "unhashed"]) == 0
    first, second = capsys.readouterr().out.split("\n\n")
    said = dict(line.split(maxsplit=1) for line in first.splitlines() if not line.startswith(" "))
    assert (said["source"], said["sha256"], said["size"], said["licence"]) == (WEIGHT.url, SHA, "1.0 MiB", "MIT")
    assert "noncommercial" not in said
    assert str(machine / "net.pth") in first
    assert "not publicly known" in second
    assert "no commercial use" in second
    assert main(["weights", "list", "mad"]) == 2
    assert "did you mean 'made'" in capsys.readouterr().err


def test_the_real_list_says_who_uses_what(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert {"fid_clean", "fid_tf"} <= set(rows["inception"]["used_by"])
    assert rows["femasr"]["noncommercial"]


def test_an_action_is_needed_and_a_misspelt_one_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights"]) == 2
    assert main(["weights", "fetsch"]) == 2
    assert "fetch" in capsys.readouterr().err


def test_the_command_needs_neither_torch_nor_the_network() -> None:
    import sys

    code = "import sys, srbench.cli as c; s = c.main(['weights', 'list']); print('torch' in sys.modules, s)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False 0"
