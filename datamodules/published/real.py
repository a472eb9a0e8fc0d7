"""Photographs without reference: RealSRSet, RealWorld38, RealLR200 and DPED's iPhone images."""

from srbench.datamodules.layout import Layout

TWENTY = (
    "Lincoln", "building", "butterfly", "butterfly2", "chip", "comic1", "comic2", "comic3", "computer", "dog",
    "dped_crop00061", "foreman", "frog", "oldphoto2", "oldphoto3", "oldphoto6", "painting", "pattern", "ppt3", "tiger",
)  # fmt: skip
"""The images of RealSRSet."""

FIVE = ("00003", "0014", "0030", "ADE_val_00000114", "OST_009")
"""What SwinIR's copy of the folder holds beside them."""

_SCALES = (2, 3, 4)
"""Without a reference any scale will do."""

_REALSRSET = {
    "counts": dict.fromkeys(_SCALES, 20),
    "homes": ("RealSRSet", "RealSRSet+5images", "testsets/RealSRSet+5images"),
    "lq": ("LR", "lq", ""),
    "licence": "research use",
    "citation": "Zhang et al., Designing a Practical Degradation Model (BSRGAN), ICCV 2021",
}

LAYOUTS = (
    Layout(
        name="RealSRSet",
        names=TWENTY,
        also=FIVE,
        source="https://github.com/cszn/BSRGAN (testsets/RealSRSet)",
        **_REALSRSET,  # type: ignore[arg-type]
    ),
    Layout(
        name="RealSRSet25",
        names=tuple(sorted(TWENTY + FIVE)),
        on_request=True,
        source="https://github.com/JingyunLiang/SwinIR (testsets/RealSRSet+5images)",
        **{**_REALSRSET, "counts": dict.fromkeys(_SCALES, 25)},  # type: ignore[arg-type]
    ),
    Layout(
        name="RealWorld38",
        counts=dict.fromkeys(_SCALES, 38),
        homes=("RealWorld38",),
        lq=("LR", "lq", ""),
        rgb=False,
        source="https://github.com/csjliang/DASR (datasets/README.md: RealWorld38)",
        licence="research use",
        citation="Liang et al., Efficient and Degradation-Adaptive Network for Real-World SR (DASR), ECCV 2022",
        caveats=("20 of RealSRSet and 18 others by inference: the names are not checked",),
    ),
    Layout(
        name="RealLR200",
        counts=dict.fromkeys(_SCALES, 200),
        homes=("RealLR200",),
        lq=("LR", "lq", ""),
        rgb=False,
        source="https://github.com/cswry/SeeSR (test datasets)",
        licence="research use",
        citation="Wu et al., SeeSR, CVPR 2024",
        caveats=("the names inside the archive were not seen: they are not checked",),
    ),
    Layout(
        name="DPED-iPhone",
        counts=dict.fromkeys(_SCALES, 113),
        homes=("DPEDiphone-va", "DPED/DPEDiphone-va", "NTIRE2020/DPEDiphone-va", "DPED-RWSR/DPEDiphone-va"),
        lq=("",),
        source="NTIRE 2020 track 2, https://competitions.codalab.org/competitions/22220 (DPEDiphone-va.zip)",
        licence="academic research",
        citation="Ignatov et al., DPED, ICCV 2017; Lugmayr et al., NTIRE 2020",
        caveats=("113 images is from memory of papers that used it, not confirmed",),
    ),
)
