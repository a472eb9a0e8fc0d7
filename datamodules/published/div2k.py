"""Sets whose gt are DIV2K's validation images: DASR's levels, DIV2KRK, SRTTA's DIV2K-C and DIV2K-MC."""

from srbench.datamodules.layout import Layout

VALID_NAMES = tuple(f"{i:04d}" for i in range(801, 901))
"""DIV2K's validation images, 0801 to 0900."""

DIV2K_URL = "https://data.vision.ee.ethz.ch/cvl/DIV2K"
ACADEMIC = "academic research only (DIV2K)"

DIV2K_HR = ("DIV2K_valid_HR", "DIV2K/DIV2K_valid_HR", "DIV2K_val/HR", "DIV2K-val/HR", "DIV2K_valid/HR", "DIV2K/HR")
"""Where DIV2K's validation HR lies under the root."""

SINGLE = (
    "GaussianBlur", "DefocusBlur", "GlassBlur", "GaussianNoise", "PoissonNoise", "ImpulseNoise", "SpeckleNoise", "JPEG",
)  # fmt: skip
MIXED = ("BlurNoise", "BlurJPEG", "NoiseJPEG", "BlurNoiseJPEG")
"""Corruptions of DIV2K-C and DIV2K-MC, spelt as SRTTA's code spells its folders."""


def _level(number: int, roman: str) -> Layout:
    folder = f"DIV2K_type{number}"
    return Layout(
        name=f"DASR-Level-{roman}",
        counts={4: 100},
        homes=("", "DASR"),
        gt=(*DIV2K_HR, *(f"../{place}" for place in DIV2K_HR)),
        lq=(f"{folder}/LR", folder),
        gt_shared=True,
        spellings=(("{name}", "{name}"), ("{name}", "{name}x{scale}")),
        names=VALID_NAMES,
        source=f"https://github.com/csjliang/DASR (datasets/README.md: {folder}) and {DIV2K_URL} for DIV2K_valid_HR",
        licence=ACADEMIC,
        citation="Liang et al., Efficient and Degradation-Adaptive Network for Real-World SR (DASR), ECCV 2022",
        caveats=(
            "only the released files: the scripts that made them are unseeded; what srbench data make makes has "
            "another name",
            "the layout inside the archive could not be confirmed",
        ),
    )


def _corrupted(short: str, folder: str, corruption: str) -> Layout:
    return Layout(
        name=f"{short}-{corruption}",
        counts={2: 100, 4: 100},
        homes=(folder, short),
        gt=("gt",),
        lq=(f"corruptions/{corruption}/X{{scale}}",),
        source="https://github.com/DengZeshuai/SRTTA",
        licence=ACADEMIC,
        citation="Deng et al., Efficient Test-Time Adaptation for Super-Resolution (SRTTA), NeurIPS 2023",
        caveats=(
            "folders and names are those that the authors' code reads; the files themselves were not seen, their "
            "names are not checked",
        ),
    )


LAYOUTS = (
    *(_level(number, roman) for number, roman in ((1, "I"), (2, "II"), (3, "III"))),
    Layout(
        name="DIV2KRK",
        counts={2: 100, 4: 100},
        homes=("DIV2KRK", "DIV2KRK_public", "DIV2KRK_public/DIV2KRK"),
        gt=("gt",),
        lq=("lr_x{scale}",),
        spellings=(("img_{name}_gt", "im_{name}"),),
        names=tuple(str(i) for i in range(1, 101)),
        source="http://www.wisdom.weizmann.ac.il/~vision/kernelgan/DIV2KRK_public.zip",
        licence=ACADEMIC,
        citation="Bell-Kligler et al., Blind Super-Resolution Kernel Estimation (KernelGAN), NeurIPS 2019",
        caveats=("the names are those that others' scripts read; the files themselves were not seen",),
    ),
    *(_corrupted("DIV2K-C", "DIV2KC", corruption) for corruption in SINGLE),
    *(_corrupted("DIV2K-MC", "DIV2KMC", corruption) for corruption in MIXED),
)
