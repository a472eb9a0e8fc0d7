from pathlib import Path

import pytest

from srbench import catalog
from srbench.errors import InputError


def test_every_shipped_config_is_found_by_its_short_name() -> None:
    names = catalog.config_names()
    assert "methods/edsr/fit.yaml" in names
    for name in names:
        assert catalog.find_config(name).is_file()
        assert catalog.find_config(name.removesuffix(".yaml")) == catalog.find_config(name)


def test_a_path_wins_over_a_short_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "photos.yaml").write_text("seed_everything: 3\n")
    monkeypatch.chdir(tmp_path)
    assert catalog.read_config("data/photos.yaml") == {"seed_everything": 3}


def test_a_misspelt_config_is_told_its_neighbour() -> None:
    with pytest.raises(InputError, match=r"methods/edrs/fit\.yaml.*did you mean 'methods/edsr/fit\.yaml'"):
        catalog.find_config("methods/edrs/fit.yaml")


def test_short_names_do_not_leave_the_configs_room() -> None:
    with pytest.raises(InputError):
        catalog.find_config("../pyproject.toml/../../pyproject.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [1", "not valid YAML.*line"), ("- a\n- b\n", "must be a mapping"), ("\xff\xfe", "not valid YAML")],
)
def test_a_broken_config_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=message) as caught:
        catalog.read_config(str(file))
    assert "\n" not in str(caught.value)


def test_later_configs_win_and_another_class_drops_the_arguments_of_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("model: {class_path: A, init_args: {x: 1, y: 2}}\ntrainer: {max_steps: 5}\n")
    (tmp_path / "b.yaml").write_text("model: {init_args: {y: 3}}\n")
    (tmp_path / "c.yaml").write_text("model: {class_path: C, init_args: {z: 4}}\n")
    names = [str(tmp_path / f"{n}.yaml") for n in "abc"]
    assert catalog.load_stack(names[:2])["model"] == {"class_path": "A", "init_args": {"x": 1, "y": 3}}
    assert catalog.load_stack(names) == {
        "model": {"class_path": "C", "init_args": {"z": 4}},
        "trainer": {"max_steps": 5},
    }


def test_exported_classes_come_with_path_and_summary() -> None:
    methods = catalog.exported("modules")
    assert methods["EDSR"].class_path.startswith("srbench.modules.edsr")
    assert methods["EDSR"].summary.startswith("EDSR")
    assert "Photos" in catalog.exported("datamodules")


def test_degradations_are_those_that_a_config_can_name() -> None:
    found = catalog.degradations()
    assert {"RealESRGAN", "DASR", "DACESR", "DeeDSR", "Bicubic", "FromList"} <= set(found)  # DACESR derives from DASR
    assert not {"Recipe", "RecipeList", "BSRGANRanges", "Degraded"} & set(found)
    assert found["DASR"].class_path == "srbench.datamodules.degradations.DASR"
    assert all(entry.summary and "``" not in entry.summary for entry in found.values())


def test_summaries_are_plain_text() -> None:
    for room in ("modules", "datamodules"):
        assert not [entry.name for entry in catalog.exported(room).values() if "``" in entry.summary]
