"""The printed numbers: spot checks against values read in the papers, the rules of entry over every row, the loader."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from srbench.errors import InputError
from srbench.metrics import names as metric_names
from srbench.protocol import load_protocol, protocol_names
from srbench.published import (
    COLUMNS,
    LOST,
    Reported,
    load_published,
    our_test_sets,
    papers,
    published_folder,
    read_published,
)

FOLDER = Path(__file__).resolve().parents[2] / "results" / "published"
ALL = load_published(folder=FOLDER)

# Typed from the papers' texts: table, row, test set, method, variant, metric, value.
SPOTS: dict[str, list[tuple[str, int | None, str, str, str, str, str]]] = {
    "dacesr": [
        ("I", 1, "Bicubic", "ESRGAN", "", "PSNR", "28.17"),
        ("I", 2, "Bicubic", "DACESR", "", "LPIPS", "0.139"),
        ("I", 3, "Level-1", "DACESR", "", "PSNR", "28.16"),
        ("I", 5, "Level-2", "CDFormer", "", "PSNR", "26.92"),
        ("I", 8, "Level-3", "HAT", "", "LPIPS", "0.331"),
        ("I", 9, "RealSR-cano", "DCLS", "", "PSNR", "27.87"),
        ("I", 12, "RealSR-Nikon", "KDSR", "", "LPIPS", "0.383"),
        ("I", 13, "AIM2019-val", "BSRGAN", "", "PSNR", "24.20"),
        ("I", 14, "AIM2019-val", "DACESR", "", "LPIPS", "0.252"),
        ("II", 7, "", "Mamba-based", "", "FLOPS", "266"),
        ("II", 3, "", "SwinIR", "", "Time", "1719"),
        ("II", 6, "Level-III", "KDSR", "", "LPIPS", "0.3420"),
        ("II", 5, "Level-I", "DASR", "", "PSNR", "27.84"),
        ("IV", 3, "Bicubic", "Mamba-based", "Condition LE", "LPIPS", "0.1945"),
        ("V", 1, "Level-III", "Mamba-based", "Condition Network RAM", "LPIPS", "0.3860"),
        ("V", 2, "Bicubic", "Mamba-based", "Condition Network DAPE", "PSNR", "27.45"),
        ("VI", 2, "Level-II", "Mamba-based", "✘ ✔", "LPIPS", "0.2123"),
    ],
    "deedsr": [
        ("1", 1, "DIV2K-Val", "BSRGAN", "", "PSNR", "23.00"),
        ("1", 4, "DIV2K-Val", "DeeDSR", "", "FID", "25.57"),
        ("1", 7, "DIV2K-Val", "LDL", "", "BRISQUE", "24.16"),
        ("1", 12, "RealSR", "LDM", "", "FID", "125.26"),
        ("1", 11, "RealSR", "DeeDSR", "", "LPIPS", "0.3323"),
        ("1", 14, "RealSR", "DASR", "", "MUSIQ", "45.44"),
        ("1", 18, "DRealSR", "Real-ESRGAN", "", "SSIM", "0.7339"),
        ("1", 22, "DRealSR", "PASD", "", "MUSIQ", "63.25"),
        ("1", 23, "DRealSR", "DiffBIR", "", "BRISQUE", "17.55"),
        ("1", 21, "DRealSR", "FeMaSR", "", "CLIPIQA", "0.5620"),
        ("2", 1, "COCO-Val", "GT", "", "Panoptic Segmentation (PQ)", "55.4"),
        ("2", 4, "COCO-Val", "PASD", "", "Semantic Segmentation (mIOU)", "47.9"),
        ("3", 3, "RealSR", "DeeDSR", "(3)", "PSNR", "12.79"),
        ("3", 6, "DIV2K-Val-V2", "DeeDSR", "", "FID", "26.11"),
        ("4", 4, "", "DeeDSR", "", "Params", "1017.6"),
        ("4", 3, "", "StableSR", "", "Runtime", "10.90"),
        ("4", 2, "", "ResShift", "", "Time steps", "15"),
        ("5", 4, "", "DeeDSR", "Input Block 4", "Output Size channels", "512"),
        ("6", 4, "DIV2K", "Heavy", "max", "First order Noise ε1", "15.0"),
        ("7", 2, "RealSR", "DeeDSR", "LR Initialization", "LPIPS", "0.2857"),
        ("7", 1, "RealSR", "DeeDSR", "Noise Guidance", "PSNR", "23.60"),
        ("Fig. 5", None, "DIV2K-Val, RealSR, DRealSR", "DeeDSR", "", "selection rate", "44.31"),
    ],
    "cassr": [
        ("1", 1, "DIV2K-val", "BSRGAN", "", "FID", "52.9180"),
        ("1", 3, "DIV2K-val", "CasSR", "", "LPIPS", "0.3225"),
        ("1", 3, "DIV2K-val", "HAT", "", "LPIPS", "0.3175"),
        ("1", 7, "DIV2K-val", "DiffBIR", "", "NIQE", "2.9574"),
        ("1", 8, "DRealSR", "DASR", "", "FID", "170.1904"),
        ("1", 11, "DRealSR", "FeMaSR", "", "MUSIQ", "57.1217"),
        ("1", 12, "DRealSR", "SeeSR", "", "MANIQA", "0.5048"),
        ("1", 16, "RealSR", "StableSR", "", "DISTS", "0.2034"),
        ("1", 20, "RealSR", "PASD", "", "CLIPIQA", "0.5190"),
        ("1", 21, "RealSR", "CasSR", "", "NIQE", "5.3491"),
        ("2", 1, "DIV2K-val", "CasSR", "Reference LR-Image", "FID", "33.1480"),
        ("2", 3, "DIV2K-val", "CasSR", "Reference SCEdit", "LPIPS", "0.3175"),
        ("3", 2, "DIV2K-val", "CasSR", "General Description no, CFG no, Caption no", "MANIQA", "0.3260"),
        ("3", 4, "DIV2K-val", "CasSR", "General Description yes, CFG yes, Caption yes", "MUSIQ", "68.2996"),
    ],
    "hraware": [
        ("1", 1, "NTIRE20", "ZSSR", "", "PSNR", "26.11"),
        ("1", 1, "NTIRE20", "RealESRGAN+", "+Ours", "PSNR", "25.87"),
        ("1", 3, "NTIRE20", "SwinIRGAN", "+Ours", "LPIPS", "0.2178"),
        ("1", 6, "AIM2019", "SwinIRGAN", "+LWay", "SSIM", "0.6667"),
        ("1", 5, "AIM2019", "RealESRGAN+", "", "PSNR", "22.58"),
        ("1", 8, "AIM2019", "KernelGAN", "+ZSSR", "NRQM", "4.577"),
        ("1", 10, "RealSR-Canon", "RealESRGAN+", "+LWay", "SSIM", "0.785"),
        ("1", 12, "RealSR-Canon", "KernelGAN", "+ZSSR", "NRQM", "4.0526"),
        ("1", 12, "RealSR-Canon", "RealESRGAN+", "+Ours", "NRQM", "6.098"),
        ("1", 13, "RealSR-Nikon", "RealESRGAN+", "+SRTTA", "PSNR", "24.07"),
        ("1", 16, "RealSR-Nikon", "SwinIRGAN", "+Ours", "NRQM", "4.889"),
        ("2", 1, "RealSR-Canon", "RealESRGAN+", "no controller, no FAR", "PSNR", "26.2"),
        ("2", 4, "RealSR-Canon", "RealESRGAN+", "controller s and FAR", "NRQM", "6.099"),
        ("3", 1, "NTIRE20", "RealESRGAN+", "Pretrained Encoder EDSR", "NRQM", "6.429"),
        ("4", 1, "NTIRE20", "RealESRGAN+", "s = n + 1 - HQI(M(X^r))", "LPIPS", "0.237"),
    ],
}

# Numbers per table, counted in the papers' texts.
COUNTS = {
    "dacesr": {"I": 140, "II": 77, "III": 0, "IV": 24, "V": 24, "VI": 24},
    "deedsr": {"1": 264, "2": 52, "3": 39, "4": 24, "5": 12, "6": 42, "7": 24, "Fig. 5": 1},
    "cassr": {"1": 189, "2": 15, "3": 20},
    "hraware": {"1": 160, "2": 16, "3": 12, "4": 8},
}


def find(paper: str, spot: tuple[object, ...]) -> Reported:
    table, row, test_set, method, variant, metric, _ = spot
    wanted = (paper, table, row, test_set, method, variant, metric)
    found = [n for n in ALL if (n.paper, n.table, n.row, n.test_set, n.method, n.variant, n.metric) == wanted]
    assert len(found) == 1, wanted
    return found[0]


@pytest.mark.parametrize("paper", SPOTS)
def test_spot_checks(paper: str) -> None:
    for spot in SPOTS[paper]:
        assert find(paper, spot).value == spot[-1], spot


def test_every_table_holds_as_many_numbers_as_its_paper_prints() -> None:
    found: dict[str, Counter[str]] = {paper: Counter() for paper in COUNTS}
    for number in ALL:
        found[number.paper][number.table] += number.number is not None
    assert {paper: dict(counts) for paper, counts in found.items()} == COUNTS


@pytest.mark.parametrize("paper", COUNTS)
def test_every_number_stands_in_the_paper(paper: str, shared: Path) -> None:
    text = (shared / "papers" / f"{paper}.txt").read_text(encoding="utf-8")
    for number in load_published([paper], FOLDER):
        assert not number.value or re.search(rf"(?<![\d.]){re.escape(number.value)}(?![\d]|\.\d)", text), number


@pytest.mark.parametrize("paper", COUNTS)
def test_every_line_of_every_table_stands_in_the_paper_in_its_order(paper: str, shared: Path) -> None:
    """No number is wrong, left out, or in another column: a line's numbers follow each other with no digit between."""
    text = (shared / "papers" / f"{paper}.txt").read_text(encoding="utf-8")
    lines: dict[tuple[str, int], list[str]] = {}
    for number in load_published([paper], FOLDER):
        slip = re.search(r"printed as '([0-9]+/[0-9]+)'", number.note)
        if number.row is not None and (slip or number.value):
            lines.setdefault((number.table, number.row), []).append(slip.group(1) if slip else number.value)
    assert len(lines) == {"dacesr": 30, "deedsr": 53, "cassr": 28, "hraware": 25}[paper]
    for place, values in lines.items():
        line = r"[^0-9\n]{1,12}".join(map(re.escape, values))
        assert re.search(rf"(?<![0-9.]){line}(?![0-9.]*[0-9])", text), (place, values)


def test_a_whole_line_of_a_table_in_printed_order() -> None:
    """Columns cannot have slipped: CasSR's last line and DACESR's first, as typed from the texts."""
    niqe = [n.value for n in ALL if (n.paper, n.table, n.row) == ("cassr", "1", 21)]
    assert " ".join(niqe) == "5.7083 5.6371 6.4163 6.9204 5.6479 6.5735 5.7470 5.2362 5.3491"
    first = [n.value for n in ALL if (n.paper, n.table, n.row) == ("dacesr", "I", 1)]
    assert " ".join(first) == "28.17 27.32 26.65 27.21 28.55 27.44 27.48 30.73 30.87 28.34"
    ssim = [n.value for n in ALL if (n.paper, n.table, n.row) == ("hraware", "1", 10)]
    assert " ".join(ssim) == "0.7631 0.6385 0.7634 0.7788 0.785 0.7674 0.7892 0.7898 0.7896 0.7895"
    maniqa = [n.value for n in ALL if (n.paper, n.table, n.row) == ("deedsr", "1", 24)]
    assert " ".join(maniqa) == "0.3419 0.3426 0.3442 0.2840 0.3151 0.2701 0.3801 0.3255 0.4568 0.4530 0.4608"


def test_rules_of_entry() -> None:
    known = set(metric_names())
    for n in ALL:
        assert n.metric_id is None or n.metric_id in known, n
        assert not n.inferred or "inferred" in n.note, n
        assert n.protocol is None or n.protocol in protocol_names(), n
        if n.protocol and n.metric_id:
            assert n.metric_id in [spec.metric for spec in load_protocol(n.protocol).metrics], n
        if n.number is None:
            assert LOST in n.note or "printed as '" in n.note, n
        assert n.note == n.note.strip(), n
        assert "; ; " not in n.note, n


def test_lost_numbers_stay_blank() -> None:
    third = [n for n in ALL if (n.paper, n.table) == ("dacesr", "III")]
    assert {n.method for n in third} == {"StableSR", "PASD", "DiffBIR", "SeeSR", "DACESR"}
    assert all(n.value == "" and LOST in n.note and n.metric == "" for n in third)
    study = [n for n in ALL if n.table == "Fig. 5" and n.method != "DeeDSR"]
    assert len(study) == 7
    assert all(n.value == "" and LOST in n.note for n in study)
    slip = find("deedsr", ("3", 1, "RealSR", "DeeDSR", "(1)", "FID", ""))
    assert slip.value == ""
    assert "'141/33'" in slip.note


@pytest.mark.parametrize(
    ("paper", "spot", "says"),
    [
        ("cassr", ("2", 3, "DIV2K-val", "CasSR", "Reference SCEdit", "LPIPS", ""), "Tables 1 and 3 print 0.3225"),
        ("cassr", ("1", 11, "DRealSR", "BSRGAN", "", "MUSIQ", ""), "same number is printed for BSRGAN and FeMaSR"),
        ("cassr", ("1", 4, "DIV2K-val", "CasSR", "", "MUSIQ", ""), "3.82%"),
        ("deedsr", ("1", 9, "RealSR", "DeeDSR", "", "PSNR", ""), "Noise Initialization row of Table 7"),
        ("hraware", ("2", 4, "RealSR-Canon", "RealESRGAN+", "controller s and FAR", "NRQM", ""), "6.098"),
        ("hraware", ("1", 11, "RealSR-Canon", "RealESRGAN+", "+Ours", "LPIPS", ""), "behind +LWay and +SRTTA"),
        ("dacesr", ("I", 1, "Bicubic", "ESRGAN", "", "PSNR", ""), "metric label lost in extraction, inferred"),
        ("dacesr", ("VI", 1, "Bicubic", "Mamba-based", "✔ ✘", "PSNR", ""), "labels of the two ticked columns are lost"),
        ("dacesr", ("IV", 2, "Bicubic", "Mamba-based", "Condition RE", "PSNR", ""), "disagrees with DACESR in Table I"),
    ],
)
def test_contradictions_and_inferences_are_noted(paper: str, spot: tuple[object, ...], says: str) -> None:
    assert says in find(paper, spot).note


def test_what_numbers_are_called() -> None:
    ours = find("hraware", ("1", 1, "NTIRE20", "RealESRGAN+", "+Ours", "PSNR", ""))
    assert (ours.label, ours.source, ours.column, ours.number) == (
        "RealESRGAN+ +Ours", "hraware, Table 1", "psnr_yiq", 25.87,
    )  # fmt: skip
    assert ours.inferred
    open_question = find("deedsr", ("1", 1, "DIV2K-Val", "BSRGAN", "", "PSNR", ""))
    assert open_question.column == "PSNR (as printed)"


def test_papers_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert papers(FOLDER) == ["cassr", "dacesr", "deedsr", "hraware"]
    assert {n.paper for n in load_published(["cassr"], FOLDER)} == {"cassr"}
    with pytest.raises(InputError, match="unknown paper 'casr'; did you mean 'cassr'"):
        load_published(["casr"], FOLDER)
    monkeypatch.chdir(tmp_path)
    assert published_folder() == FOLDER, "outside a checkout, the one it was installed from"
    (tmp_path / "results" / "published").mkdir(parents=True)
    assert papers() == []


def test_names_of_test_sets() -> None:
    printed = {(n.paper, n.test_set) for n in ALL}
    ours = our_test_sets(FOLDER)
    assert set(ours) <= printed
    assert ours["dacesr", "Level-1"] == ours["dacesr", "Level-I"] == "DASR-Level-I"
    assert ours["hraware", "AIM2019"] == "AIM2019-val"
    assert ours["cassr", "DIV2K-val"] != ours["dacesr", "Bicubic"], "one name, two sets"
    assert our_test_sets(FOLDER / "none") == {}


GOOD = "p,1,1,Set5,4,M,,PSNR,psnr_y219,stated,30.1,dB,y219_crop4,"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("p,1,1,Set5,4,M,,PSNR,psnr_y219,stated,30.1,dB,y219_crop4", "line 2 has 13 cells, not 14"),
        (GOOD.replace("30.1", "30,1"), "line 2 has 15 cells"),
        (GOOD.replace("30.1", "30.1*"), "value '30.1*' is no number"),
        (GOOD.replace("30.1", ""), "an empty value needs a note"),
        (GOOD.replace("PSNR", ""), "a value needs a metric"),
        (GOOD.replace(",1,1,", ",1,first,"), "row 'first' is no line number"),
        (GOOD.replace("Set5,4", "Set5,x4"), "scale 'x4' is no magnification"),
        (GOOD.replace("psnr_y219", "PSNR (Y)"), "is no id"),
        (GOOD.replace("stated", "guessed"), "metric_id_basis 'guessed' is unknown"),
        (GOOD.replace("stated", ""), "go together"),
        (GOOD.replace("p,1", "q,1"), "paper is 'q', the file's is 'p'"),
        (GOOD.replace(",M,", ",,"), "table and method must be given"),
        (f"{GOOD}\n{GOOD}", "lines 2 and 3 are the same cell"),
        ('p,"1', "is no CSV in UTF-8"),
    ],
)
def test_malformed_files_are_refused(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text(",".join(COLUMNS) + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(says)) as caught:
        read_published(path)
    assert "p.csv" in str(caught.value)


def test_files_that_are_no_tables_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    with pytest.raises(InputError, match="cannot be read"):
        read_published(path)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="its columns must be paper, table, row"):
        read_published(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is no CSV in UTF-8"):
        read_published(path)
    path.write_text(",".join(COLUMNS) + "\n" + GOOD + "\n", encoding="utf-8")
    assert [n.value for n in read_published(path)] == ["30.1"]
