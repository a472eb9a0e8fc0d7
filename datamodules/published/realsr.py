"""RealSR version 3 (Cai et al., ICCV 2019): photographs of one scene at several focal lengths, two cameras."""

from srbench.datamodules.layout import Layout

HOMES = ("RealSR(V3)", "RealSR_V3", "RealSRV3", "RealSR", "RealSR/RealSR(V3)")
SOURCE = "https://github.com/csjcai/RealSR (Version 3)"
LICENCE = "none stated by the authors"
CITATION = "Cai et al., Toward Real-World Single Image Super-Resolution, ICCV 2019"
VERSION_TRAP = (
    "this is version 1 or 2 of RealSR, whose lq was enlarged to the size of gt; super-resolution by a scale is "
    "measured on version 3, whose lq is small"
)


def _camera(camera: str, part: str, count: int | None) -> Layout:
    place = (f"{camera}/{part}/{{scale}}",)
    return Layout(
        name=f"RealSR-{camera}" + ("" if part == "Test" else "-train"),
        counts=dict.fromkeys((2, 3, 4), count),
        homes=HOMES,
        gt=place,
        lq=place,
        spellings=(("{name}_HR", "{name}_LR{scale}"),),
        ids=rf"{camera}_\d+",
        example=f"{camera}_001",
        crop_gt=True,
        version_trap=VERSION_TRAP,
        training=part == "Train",
        source=SOURCE,
        licence=LICENCE,
        citation=CITATION,
        caveats=()
        if count
        else ("459 training scenes of both cameras are stated, not how many of each: the number is not checked",),
    )


LAYOUTS = tuple(
    _camera(camera, part, count) for part, count in (("Test", 50), ("Train", None)) for camera in ("Canon", "Nikon")
)
