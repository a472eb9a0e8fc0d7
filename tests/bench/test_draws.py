"""Several draws of a stochastic method are one line of a table: their mean, and how far apart they are."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from srbench.errors import InputError
from srbench.leaderboard import Entry, build_leaderboard, joined, load_entries, spreads
from srbench.records import RunRecord, record_folder, write_record

from .conftest import HASH

MakeEntry = Callable[..., Entry]
MakeRecord = Callable[..., RunRecord]


def draw(make_entry: MakeEntry, number: int, values: Sequence[float], **fields: object) -> Entry:
    config = f"{number + 1:x}" * 64
    given = {"method": "LDM", "config_sha256": config, "draw": number, "drawn_from": HASH, **fields}
    return make_entry({"psnr_y219": values}, **given)


def test_their_mean_and_spread(make_entry: MakeEntry) -> None:
    [entry] = joined([draw(make_entry, 1, (31.0, 33.0)), draw(make_entry, 0, (30.0, 30.0))])
    assert entry.record.draw == 0, "the first draw speaks for the others"
    assert entry.record.metrics["psnr_y219"].mean == 31.0
    assert [row.values["psnr_y219"] for row in entry.rows] == [30.5, 31.5]
    assert entry.record.metrics["psnr_y219"].ci_low == 30.5
    [note] = [note for note in entry.record.notes if "spread" in note]
    assert note == "psnr_y219: spread (standard deviation between draws) 1.414, 2 draws"
    assert any(note in remark for remark in build_leaderboard([entry]).remarks)


def test_only_what_differs_in_the_draw_alone_is_joined(make_entry: MakeEntry) -> None:
    one = draw(make_entry, 0, (30.0, 30.0))
    others = [
        draw(make_entry, 1, (31.0, 33.0), drawn_from="f" * 64),
        draw(make_entry, 1, (31.0, 33.0), weights_sha256=HASH),
        draw(make_entry, 1, (31.0, 33.0), marks=("random_backbones",)),
        draw(make_entry, 1, (31.0, 33.0), test_set="Set14"),
        make_entry({"psnr_y219": (1.0, 2.0)}),
        make_entry({"psnr_y219": (1.0, 2.0)}),
    ]
    assert len(joined([one, *others])) == 7


def test_records_on_disk_are_joined(tmp_path: Path, make_entry: MakeEntry) -> None:
    for entry in (draw(make_entry, 0, (30.0, 30.0)), draw(make_entry, 1, (31.0, 33.0))):
        r = entry.record
        folder = record_folder(
            tmp_path, protocol=r.protocol, test_set=r.test_set, scale=4, method=r.method, fingerprint=r.fingerprint
        )
        write_record(folder, r, entry.rows)
    [entry] = load_entries([tmp_path])
    assert entry.record.metrics["psnr_y219"].mean == 31.0


def test_a_line_of_words(make_entry: MakeEntry) -> None:
    records = [draw(make_entry, n, (30.0 + n, 30.0 + n)).record for n in range(3)]
    assert list(spreads(records)) == ["LDM on Set5 x4, 3 draws: psnr_y219 31.0000 ± 1.0000"]
    assert list(spreads(records[:1])) == []


@pytest.mark.parametrize("fields", [{"draw": 1}, {"drawn_from": HASH}, {"draw": -1, "drawn_from": HASH}])
def test_half_a_draw_is_no_record(tmp_path: Path, make_record: MakeRecord, fields: dict[str, object]) -> None:
    with pytest.raises(InputError, match="draw and drawn_from belong together"):
        write_record(tmp_path, make_record(**fields), [])
