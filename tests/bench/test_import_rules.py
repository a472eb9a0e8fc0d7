"""Who may import whom, held by reading every import statement of the rooms."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = {"bench": "srbench", "modules": "srbench.modules", "datamodules": "srbench.datamodules"}
CONTRACTS = {
    "catalog",
    "contracts",
    "images",
    "module",
    "weights",
    "weight_files",
    "tiling",
    "errors",
    "naming",
    "datamodule",
    "datasets",
    "degradation",
    "sampling",
    "atomic",
    "pairs",
    "findings",
    "torchscript",
    "permission",
    "series",
}
SHARED_PARTS = {"nets", "losses", "external"}
TORCH_FREE = (
    "cli", "catalog", "list_command", "command_parser", "naming", "errors", "records", "leaderboard", "statistics",
    "cards",
    "protocol", "metrics", "scoring", "score_command", "leaderboard_command", "report", "folders", "summary",
    "score_cache", "weight_files", "weight_fetch", "weight_archive", "weights_command", "published", "compare_command",
    "data_command", "comparison", "tables", "table_command", "pairs", "makers",
    "data_make_command", "counter", "analyze_command", "findings", "torchscript",
)  # fmt: skip


def _imports(file: Path, *, top_level_only: bool = False) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def _files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def _ours(file: Path) -> list[list[str]]:
    return [name.split(".")[1:] for name in _imports(file) if name.split(".")[0] == "srbench" and "." in name]


def _id(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("file", [f for room in ROOMS for f in _files(room)], ids=_id)
def test_rooms_are_imported_as_srbench(file: Path) -> None:
    bare = {name for name in _imports(file) if name.split(".")[0] in ("bench", "modules", "datamodules", "configs")}
    assert not bare


@pytest.mark.parametrize("file", _files("modules"), ids=_id)
def test_modules_see_contracts_and_no_other_method(file: Path) -> None:
    own = file.relative_to(ROOT / "modules").parts[0]
    for parts in _ours(file):
        if parts[0] == "modules":
            assert (
                len(parts) < 2
                or parts[1] == own
                or parts[1] in SHARED_PARTS
                or not (ROOT / "modules" / parts[1]).is_dir()  # a base such as modules/pixel.py
            ), f"{file.name} imports the method {parts[1]}"
        elif parts[0] == "datamodules":
            assert parts[1:2] == ["degradations"]
        else:
            assert parts[0] in CONTRACTS, f"srbench.{parts[0]}"


@pytest.mark.parametrize("file", _files("datamodules"), ids=_id)
def test_datamodules_see_contracts_only(file: Path) -> None:
    for parts in _ours(file):
        assert parts[0] in {*CONTRACTS, "datamodules"}, f"srbench.{'.'.join(parts)}"


@pytest.mark.parametrize("file", _files("bench"), ids=_id)
def test_bench_names_no_method_or_data_set(file: Path) -> None:
    if file.name == "doctor_command.py":  # looks whether the scan runs here; it names a part, not a method
        return
    for parts in _ours(file):
        assert parts[0] not in ("modules", "datamodules"), ".".join(parts)


@pytest.mark.parametrize("name", TORCH_FREE)
def test_light_commands_do_not_import_torch(name: str) -> None:
    place = ROOT / "bench" / name
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    assert files
    for file in files:
        heavy = {i.split(".")[0] for i in _imports(file, top_level_only=True)} & {"torch", "torchvision", "lightning"}
        assert not heavy, file.name
