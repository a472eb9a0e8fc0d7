"""Sets of 128 x 128 lq and 512 x 512 gt: StableSR's test sets, and COCO's validation images."""

from srbench.datamodules.layout import Layout

_LQ = ("test_LR", "lq", "LR")
_GT = ("test_HR", "gt", "HR")
_NAMES = "the names inside the archive were not seen: they are not checked"


def _ordered(folders: tuple[str, ...], plain: bool) -> tuple[str, ...]:
    """The archive calls the folders of its crops of DIV2K ``lq`` and ``gt``, those of the others ``test_LR``."""
    return (folders[1], folders[0], *folders[2:]) if plain else folders


def _stablesr(
    name: str, folder: str, count: int, *, gt: bool = True, plain: bool = False, caveats: tuple[str, ...] = ()
) -> Layout:
    return Layout(
        name=name,
        counts={4: count},
        homes=(folder, f"StableSR_testsets/{folder}", f"StableSR-TestSets/{folder}"),
        gt=_ordered(_GT, plain) if gt else (),
        lq=_ordered(_LQ, plain),
        spellings=(
            ("{name}", "{name}"),
            ("{name}_HR", "{name}_LR{scale}"),
            ("{name}_x{scale}", "{name}_x1"),
            ("{name}_HR", "{name}_LR"),
        ),
        lq_size=(128, 128),
        source="https://huggingface.co/datasets/Iceclear/StableSR-TestSets",
        licence="S-Lab License 1.0, non-commercial; the images after their own sets",
        citation="Wang et al., Exploiting Diffusion Prior for Real-World Image Super-Resolution (StableSR), IJCV 2024",
        caveats=(*caveats, _NAMES),
    )


LAYOUTS = (
    _stablesr(
        "DIV2K-val-3k",
        "DIV2K_V2_val",
        3000,
        plain=True,
        caveats=("DeeDSR and others cut 3,000 crops of their own: not the same images",),
    ),
    _stablesr("RealSR-crop128", "RealSRVal_crop128", 100),
    _stablesr("DRealSR-crop128", "DrealSRVal_crop128", 93),
    _stablesr(
        "DPED-crop128",
        "DPED_val_crop128",
        113,
        gt=False,
        caveats=("113 images, the folder's name and the rule of the crop (StableSR issue 65) are not confirmed",),
    ),
    Layout(
        name="COCO-val512",
        counts={4: 5000},
        homes=("COCO-val512", "COCO_val512"),
        gt=("gt",),
        lq=("lq",),
        ids=r"\d{12}",
        example="000000000139",
        lq_size=(128, 128),
        source="https://cocodataset.org (val2017), resized to 512 x 512 and degraded as in DeeDSR, section 4.3",
        licence="COCO's terms of use; the photographs after their Flickr licences",
        citation="Lin et al., Microsoft COCO, ECCV 2014; the task: Bi et al., DeeDSR, 2024",
        caveats=(
            "never released: neither DeeDSR's resizing of gt nor its seed is known, and this layout is srbench's own",
        ),
    ),
)
