"""Cards: what is said of every method, held against what the papers print and what srbench counts."""

from pathlib import Path

import pytest

from srbench import cards as module
from srbench.cards import Card, cards
from srbench.catalog import load_stack
from srbench.describe_command import describe
from srbench.errors import InputError
from srbench.list_command import methods, modules
from srbench.published import load_published, papers

PUBLISHED = Path(__file__).resolve().parents[2] / "results" / "published"
ALL = {card.name: card for card in cards()}
NO_METHODS = {("deedsr", "GT"), ("deedsr", "Light"), ("deedsr", "Medium"), ("deedsr", "Heavy")}
"""Names in the first columns of tables that stand for no method: the truth, and groups of degradations."""

ADAPTS = ("HR-aware", "LWay")


def test_every_method_of_every_table_has_one_card() -> None:
    found = [(paper, name) for card in ALL.values() for paper, names in card.printed.items() for name in names]
    assert len(found) == len(set(found)), "two cards claim one printed name"
    printed = {(n.paper, n.method) for n in load_published(papers(PUBLISHED), PUBLISHED)}
    assert set(found) == printed - NO_METHODS


@pytest.mark.parametrize("card", [c for c in ALL.values() if c.route == "native" and c.configs], ids=lambda c: c.name)
def test_parameters_are_those_that_describe_counts(card: Card) -> None:
    if card.name in ADAPTS:  # a network that lies in a checkpoint: what is not known is not said
        with pytest.raises(InputError, match="reads its architecture from a checkpoint"):
            describe(card.configs[:1], [], (64, 64))
        assert card.params_m is None
        return
    counted = describe(card.configs[:1], [], (64, 64))["params"]
    assert card.params_m == (None if counted is None else round(counted / 1e6, 3))


@pytest.mark.parametrize("card", ALL.values(), ids=lambda c: c.name)
def test_configs_test_the_method(card: Card) -> None:
    for config in card.configs:
        assert "model" in load_stack([config])
    assert card.route in ("command", "folder") or card.configs


def test_the_list_says_where_each_stands() -> None:
    rows = {row["name"]: row for row in methods()}
    assert rows["FeMaSR"]["licence"] == "non-commercial: CC BY-NC-SA 4.0"
    assert rows["Bicubic"]["weights"] == "none needed"
    assert rows["DACESR"]["weights"] == "none published"
    assert rows["ZSSR"]["weights"] == "none needed"
    assert rows["RRDB"]["params"] == "16.698 M"
    assert {"EDSR", "SpandrelSR"} <= {row["name"] for row in modules()}


FULL = "name: X\ntitle: t\npaper: p\nlink: l\nlicence: c\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nam: X", "unknown key of a card 'nam'; did you mean 'name'"),
        ("name: X", "'title' must be text"),
        (
            FULL + "route: nativ",
            "unknown route 'nativ'; did you mean 'native'",
        ),
        (FULL + "route: native\nweights: [esrgam]", "did you mean 'esrgan'"),
        (FULL + "route: native\nconfigs: [no.yaml]", "no such config"),
    ],
)
def test_a_wrong_card_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, says: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    monkeypatch.setattr(module, "config_names", lambda kind: [str(path)])
    with pytest.raises(InputError, match=says) as caught:
        cards()
    assert "bad.yaml" in str(caught.value)
