"""The challenges on real-world super-resolution: AIM 2019 track 2, NTIRE 2020, and NTIRE 2018's realistic tracks."""

from srbench.datamodules.layout import SAME_STEM, Layout
from srbench.datamodules.published.div2k import ACADEMIC, DIV2K_HR, DIV2K_URL, VALID_NAMES

_HOST = "https://data.vision.ee.ethz.ch/alugmayr/real-world-sr"
_AIM = {
    "homes": ("AIM2019", "AIM19", "AIM-RWSR", "AIM19/AIM19"),
    "licence": ACADEMIC,
    "citation": "Lugmayr et al., AIM 2019 Challenge on Real-World Image Super-Resolution, ICCVW 2019",
}
_NTIRE20 = {
    "homes": ("NTIRE2020", "NTIRE20", "NTIRE-RWSR", "NTIRE2020-Track1"),
    "licence": ACADEMIC,
    "citation": "Lugmayr et al., NTIRE 2020 Challenge on Real-World Image Super-Resolution, CVPRW 2020",
}
_DOMAIN = "the number of images could not be confirmed from the files: it is not checked"
_WHOLE = {1: None, 2: None, 3: None, 4: None}
"""Images of one domain, without partners: they exist for any scale and none."""


def _realistic(kind: str, letter: str, caveats: tuple[str, ...]) -> Layout:
    stems = (("{name}", f"{{name}}x4{letter}"), ("{name}", f"{{name}}x4{letter}1"), *SAME_STEM)
    return Layout(
        name=f"NTIRE2018-{kind}",
        counts={4: 100},
        homes=("DIV2K", "NTIRE2018", ""),
        gt=("DIV2K_valid_HR", "../DIV2K/DIV2K_valid_HR", *DIV2K_HR),
        lq=(f"DIV2K_valid_LR_{kind}",),
        gt_shared=True,
        spellings=stems,
        names=VALID_NAMES,
        source=f"{DIV2K_URL} (DIV2K_valid_LR_{kind}.zip, DIV2K_valid_HR.zip)",
        licence=ACADEMIC,
        citation="Timofte et al., NTIRE 2018 Challenge on Single Image Super-Resolution, CVPRW 2018",
        caveats=caveats,
    )


LAYOUTS = (
    Layout(
        name="AIM2019-val",
        counts={4: 100},
        gt=("valid-gt-clean", "../DIV2K/DIV2K_valid_HR"),
        lq=("valid-input-noisy",),
        names=VALID_NAMES,
        source=f"{_HOST}/AIM19/valid-input-noisy.zip and valid-gt-clean.zip",
        caveats=("the test images 0901 to 1000 have no public gt",),
        **_AIM,  # type: ignore[arg-type]
    ),
    Layout(
        name="AIM2019-source",
        counts=_WHOLE,
        lq=("train-noisy-images", "train-source-noisy"),
        training=True,
        source=f"{_HOST}/AIM19/train-noisy-images.zip",
        caveats=(_DOMAIN, "degraded images without partners: unpaired with AIM2019-target"),
        **_AIM,  # type: ignore[arg-type]
    ),
    Layout(
        name="AIM2019-target",
        counts=_WHOLE,
        gt=("train-clean-images", "train-target-clean"),
        lq=(),
        training=True,
        source=f"{_HOST}/AIM19/train-clean-images.zip",
        caveats=(_DOMAIN, "clean images without partners: unpaired with AIM2019-source"),
        **_AIM,  # type: ignore[arg-type]
    ),
    Layout(
        name="NTIRE2020-track1-val",
        counts={4: 100},
        gt=("track1-valid-gt", "Corrupted-va-y", "DIV2K_valid_HR", "../DIV2K/DIV2K_valid_HR"),
        lq=("track1-valid-input", "Corrupted-va-x"),
        names=VALID_NAMES,
        source=f"{_HOST}/NTIRE20/track1-valid-input.zip and track1-valid-gt.zip",
        caveats=("the test images (Corrupted-te-x) have no public gt",),
        **_NTIRE20,  # type: ignore[arg-type]
    ),
    Layout(
        name="NTIRE2020-track1-source",
        counts=_WHOLE,
        lq=("track1-train-source", "Corrupted-tr-x"),
        training=True,
        source=f"{_HOST}/NTIRE20/track1-train-source.zip",
        caveats=("2650 images by others' scripts; not checked",),
        **_NTIRE20,  # type: ignore[arg-type]
    ),
    Layout(
        name="NTIRE2020-target",
        counts=_WHOLE,
        gt=("train-target", "Corrupted-tr-y"),
        lq=(),
        training=True,
        source=f"{_HOST}/NTIRE20/train-target.zip",
        caveats=("800 images by others' scripts; not checked",),
        **_NTIRE20,  # type: ignore[arg-type]
    ),
    _realistic("mild", "m", ()),
    _realistic("difficult", "d", ()),
    _realistic(
        "wild",
        "w",
        ("one lq for each validation image, as TensorFlow Datasets reads them (training has four); not seen",),
    ),
)
