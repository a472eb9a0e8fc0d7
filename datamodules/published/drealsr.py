"""DRealSR (Wei et al., ECCV 2020): pairs of five cameras, large images."""

from srbench.datamodules.layout import Layout

_TEST = ("Test_x{scale}", "x{scale}/Test_x{scale}", "x{scale}/Test_x{scale}/Test_x{scale}")
_TRAIN = ("Train_x{scale}", "x{scale}/Train_x{scale}", "x{scale}/Train_x{scale}/Train_x{scale}")


def _part(name: str, folders: tuple[str, ...], kind: str, counts: dict[int, int | None], caveat: str) -> Layout:
    return Layout(
        name=name,
        counts=counts,
        homes=("DRealSR", "DRealSR/DRealSR"),
        gt=tuple(f"{folder}/{kind}_HR" for folder in folders),
        lq=tuple(f"{folder}/{kind}_LR" for folder in folders),
        spellings=(("{name}_x{scale}", "{name}_x1"),),
        crop_gt=True,
        training=kind == "train",
        source="https://github.com/xiezw5/Component-Divide-and-Conquer-for-Real-World-Image-Super-Resolution",
        licence="none stated for the images",
        citation="Wei et al., Component Divide-and-Conquer for Real-World Image Super-Resolution, ECCV 2020",
        caveats=(caveat,),
    )


LAYOUTS = (
    _part(
        "DRealSR",
        _TEST,
        "test",
        {2: 83, 3: 84, 4: 93},
        "93 pairs at x4 agree with every source; 83 at x2 and 84 at x3 are from memory of the paper, not confirmed",
    ),
    _part(
        "DRealSR-train",
        _TRAIN,
        "train",
        {2: None, 3: None, 4: None},
        "the authors state 31,970 patches of 192 x 192 to train on; the files were not seen: not checked",
    ),
)
