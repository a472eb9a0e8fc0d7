"""The catalogue is sound, and finds files where people and libraries put them."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from pathlib import Path

import pytest

from srbench import metrics, weight_files
from srbench.catalog import config_names, load_stack, room_folder
from srbench.errors import InputError, MetricUnavailable
from srbench.weight_files import WeightFile, digest, fault, find, locate, names, need, places, read_family

MADE = WeightFile(name="made", family="made_here", file="net.pth", licence="MIT", url="https://example.org/net.pth")


@pytest.fixture
def home(bare_machine: Path) -> Path:
    """A machine without any file."""
    return bare_machine


@pytest.fixture
def made(home: Path, monkeypatch: pytest.MonkeyPatch) -> WeightFile:
    """An entry whose bytes the test can make."""
    weight = dataclasses.replace(MADE, sha256=hashlib.sha256(b"right").hexdigest(), homes=("torch:hub/checkpoints",))
    monkeypatch.setattr(weight_files, "find", lambda name: weight)
    return weight


def lay(path: Path, data: bytes = b"right") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


# --------------------------------------------------------------------------------------------- what ships


@pytest.mark.parametrize("name", names())
def test_an_entry_is_whole(name: str) -> None:
    weight = find(name)
    assert weight.name == name
    assert weight.licence
    assert weight.url.startswith("https://") or (not weight.url and weight.manual)
    assert len(weight.sha256) in (0, 64)
    assert not (weight.sha256 and weight.sha256_prefix)
    hint = re.search(r"-([0-9a-f]{8})\.", weight.file)
    if hint:  # PyTorch's custom: the name carries the hash's first digits
        assert weight.digest().startswith(hint[1])
    claimed = re.search(r"/([0-9a-f]{64})/", weight.url)
    if claimed:
        assert weight.sha256 == claimed[1]
    assert ("NC" in weight.licence) == weight.noncommercial


def test_every_file_that_a_metric_names_is_listed_and_every_entry_is_used() -> None:
    wanted = {weight for name in metrics.names() for weight in metrics.find(name).weights}
    assert wanted <= set(names())
    assert not [name for name in names() if name not in wanted and not find(name).used_by]


def test_every_address_and_file_of_the_shipped_method_configs_is_listed() -> None:
    urls = {find(name).url for name in names()}
    files = {find(name).file for name in names()} | {file for name in names() for file in find(name).also}
    for config in config_names("methods"):
        published = str(load_stack([config]).get("model", {}).get("init_args", {}).get("published", ""))
        if published.startswith("https://"):
            assert published in urls, config
        elif published:
            assert published.split(",")[0] in files, config


def test_used_by_names_shipped_configs_where_it_names_a_file() -> None:
    shipped = set(config_names("methods"))
    for name in names():
        for user in find(name).used_by:
            assert "/" not in user or f"methods/{user}.yaml" in shipped


def test_no_two_entries_share_a_file_name() -> None:
    files = [file for name in names() for file in (find(name).file, *find(name).also)]
    assert len(files) == len(set(files))


def test_the_bundled_copies_have_the_hashes_of_their_names() -> None:
    """The rule that eight digits in a name are a sha256's, held against files that packages bring."""
    lpips = pytest.importorskip("lpips")
    alex = Path(lpips.__file__).parent / "weights" / "v0.1" / "alex.pth"
    assert digest(alex).startswith("df73285e")  # IQA-PyTorch's LPIPS_v0.1_alex-df73285e.pth


def test_the_shared_dvmsr_is_the_catalogues(shared: Path) -> None:
    assert fault(find("dvmsr"), shared / "weights" / "dvmsr_x4_ntire2024.pth") is None


# --------------------------------------------------------------------------------------------- finding


def test_a_misspelt_name_is_told_its_neighbour() -> None:
    with pytest.raises(InputError, match="did you mean 'alexnet'"):
        find("alexnett")


def test_nothing_is_found_on_an_empty_machine(home: Path) -> None:
    assert [name for name in names() if locate(name) is not None] == []


@pytest.mark.parametrize("place", ["net.pth", "made_here/net.pth"])
def test_the_users_folder_comes_first(
    made: WeightFile, home: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    lay(home / "cache" / "torch" / "hub" / "checkpoints" / "net.pth")
    monkeypatch.setenv("SRBENCH_WEIGHTS", str(home / "mine"))
    assert locate("made") == home / "cache" / "torch" / "hub" / "checkpoints" / "net.pth"
    own = lay(home / "mine" / place)
    assert locate("made") == own


def test_a_fetched_file_is_found_with_and_without_the_variable(
    made: WeightFile, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = lay(home / "cache" / "srbench" / "weights" / "net.pth")
    assert locate("made") == fetched
    monkeypatch.setenv("SRBENCH_WEIGHTS", str(home / "mine"))
    assert locate("made") == fetched


def test_torchs_cache_follows_torchs_variable(made: WeightFile, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(home / "torch"))
    path = lay(home / "torch" / "hub" / "checkpoints" / "net.pth")
    assert locate("made") == path
    import torch.hub

    assert Path(torch.hub.get_dir()) == home / "torch" / "hub"


@pytest.mark.parametrize(
    ("variable", "below"), [("HF_HUB_CACHE", ""), ("HF_HOME", "hub"), ("XDG_CACHE_HOME", "huggingface/hub")]
)
def test_the_hubs_cache_is_read_at_its_main_revision(
    home: Path, monkeypatch: pytest.MonkeyPatch, variable: str, below: str
) -> None:
    weight = dataclasses.replace(MADE, homes=("hf:owner/repo/sub/model.safetensors",))
    monkeypatch.setenv(variable, str(home / "hub"))
    root = home / "hub" / below / "models--owner--repo"
    old, new = (lay(root / "snapshots" / revision / "sub" / "model.safetensors") for revision in ("aaa", "bbb"))
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text("bbb\n")
    assert [path for path in places(weight) if path.is_file()] == [new, old]


def test_clips_own_cache_is_read(home: Path) -> None:
    path = lay(home / "home" / ".cache" / "clip" / "RN50.pt")
    assert locate("clip_rn50") == path


def test_other_names_serve_too(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRBENCH_WEIGHTS", str(home))
    path = lay(home / "pt_inception-2015-12-05-6726825d.pth")
    assert locate("inception") == path
    own = lay(home / "weights-inception-2015-12-05-6726825d.pth")
    assert locate("inception") == own


def test_empty_files_and_folders_are_no_files(made: WeightFile, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRBENCH_WEIGHTS", str(home / "mine"))
    (home / "mine" / "net.pth").mkdir(parents=True)
    lay(home / "cache" / "srbench" / "weights" / "net.pth", b"")
    assert locate("made") is None


# --------------------------------------------------------------------------------------------- needing


def test_what_is_absent_is_named_with_the_command_that_brings_it(home: Path) -> None:
    with pytest.raises(MetricUnavailable) as caught:
        need("alexnet")
    assert str(caught.value) == "unavailable: alexnet-owt-7be5be79.pth (srbench weights fetch alexnet)"


def test_what_cannot_be_fetched_is_named_with_the_steps(home: Path) -> None:
    with pytest.raises(MetricUnavailable, match=r"unavailable: DAPE.pth \(download DAPE.pth from https://drive"):
        need("dape")


def test_a_file_of_the_right_hash_is_given(made: WeightFile, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRBENCH_WEIGHTS", str(home / "mine"))
    path = lay(home / "mine" / "net.pth")
    assert need("made") == path


def test_another_file_of_the_right_name_is_refused(
    made: WeightFile, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRBENCH_WEIGHTS", str(home / "mine"))
    lay(home / "mine" / "net.pth", b"wrong")
    with pytest.raises(MetricUnavailable, match=r"net.pth is another file.*\(srbench weights check made\)$"):
        need("made")


def test_each_format_has_its_own_hash(home: Path) -> None:
    brisque = find("brisque")
    assert fault(brisque, lay(home / "brisque_svm_weights.pth", b"any")) is None  # none is known of this copy
    assert "another file" in str(fault(brisque, lay(home / "allmodel", b"any")))


def test_a_prefix_is_enough_to_refuse(home: Path) -> None:
    weight = dataclasses.replace(MADE, sha256_prefix=hashlib.sha256(b"right").hexdigest()[:8])
    assert fault(weight, lay(home / "net.pth")) is None
    assert fault(weight, lay(home / "net.pth", b"wrong")) is not None


@pytest.fixture
def counted(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were hashed in earnest."""
    files: list[Path] = []
    real = weight_files.file_sha256

    def count(path: Path) -> str:
        files.append(path)
        return real(path)

    monkeypatch.setattr(weight_files, "file_sha256", count)
    return files


def test_a_digest_is_remembered_until_the_file_changes(home: Path, counted: list[Path]) -> None:
    path = lay(home / "net.pth", b"one")
    assert digest(path) == digest(path) == hashlib.sha256(b"one").hexdigest()
    assert len(counted) == 1
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert digest(path) == hashlib.sha256(b"two").hexdigest()
    with pytest.raises(InputError, match="cannot be read"):
        digest(home / "absent")


def test_a_digest_is_remembered_by_the_next_process(home: Path, counted: list[Path]) -> None:
    path = lay(home / "net.pth", b"one")
    digest(path)
    weight_files._digest.cache_clear()  # what a process forgets when it ends
    assert digest(path) == hashlib.sha256(b"one").hexdigest()
    assert len(counted) == 1


def test_without_a_cache_it_is_hashed_anew(home: Path, counted: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRBENCH_CACHE", "off")
    path = lay(home / "net.pth", b"one")
    for _ in range(2):
        digest(path)
        weight_files._digest.cache_clear()
    assert len(counted) == 2
    assert not (home / "cache").exists()


def test_the_same_size_at_the_same_time_does_not_deceive(home: Path, counted: list[Path]) -> None:
    """A file put in another's place with its times set back: the system's own time of change tells."""
    path = lay(home / "net.pth", b"one")
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    digest(path)
    other = lay(home / "other", b"two")
    other.replace(path)
    os.utime(path, ns=times)
    assert digest(path) == hashlib.sha256(b"two").hexdigest()


# --------------------------------------------------------------------------------------------- reading


def family(folder: Path, text: str) -> list[WeightFile]:
    path = folder / "made_here.yaml"
    path.write_text(text, encoding="utf-8")
    return read_family(path)


def test_a_family_is_read(tmp_path: Path) -> None:
    text = "net:\n  file: net.pth\n  url: https://example.org/net.pth\n  licence: MIT\n  homes: ['torch:hub/x']\n"
    (weight,) = family(tmp_path, text)
    assert (weight.name, weight.family, weight.homes, weight.size) == ("net", "made_here", ("torch:hub/x",), 0)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("url: http://example.org/net.pth", "give an https url"),
        ("url: https://example.org/a\n  manual: by hand", "give an https url"),
        ("manual: ''", "give an https url"),
        ("url: https://example.org/a\n  sha256: abc", "no sha256 of 64 digits"),
        ("url: https://example.org/a\n  sha256_prefix: 12345678", "sha256_prefix is to be str"),
        ("url: https://example.org/a\n  sha256_prefix: abc", "no beginning of a sha256"),
        ("url: https://example.org/a\n  size: 1 MiB", "size is to be int"),
        ("url: https://example.org/a\n  homes: torch:hub", "homes is to be tuple"),
        ("url: https://example.org/a\n  also: {x: 1}", "1 is no sha256"),
        ("url: https://example.org/a\n  licens: MIT", "unknown field 'licens'; did you mean 'licence'"),
        ("url: https://example.org/a\n  also: {../x: ''}", "cannot be used as a file name"),
    ],
)
def test_a_broken_entry_is_told(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        family(tmp_path, f"net:\n  file: net.pth\n  licence: MIT\n  {line}\n")


@pytest.mark.parametrize(
    "text", ["- a\n", "net: x\n", "", "net:\n  file: net.pth\n  url: https://e.org/a\n  licence: ''\n"]
)
def test_a_family_of_another_shape_is_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"weights/made_here\.yaml"):
        family(tmp_path, text)


def test_a_missing_field_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="licence"):
        family(tmp_path, "net:\n  file: net.pth\n  url: https://example.org/a\n")


def test_the_folder_of_the_catalogue_holds_nothing_else() -> None:
    folder = room_folder("configs") / "weights"
    assert {path.suffix for path in folder.iterdir()} == {".yaml"}
