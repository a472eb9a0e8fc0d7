"""Set5, Set14, BSD100, Urban100, Manga109 and DIV2K-val with MATLAB's bicubic lq.

:class:`srbench.datamodules.Classical` reads its facts from here.
"""

from srbench.datamodules.layout import SAME_STEM, Layout

_SELFEXSR = "https://github.com/jbhuang0604/SelfExSR"
_SWINIR = "https://github.com/JingyunLiang/SwinIR (testsets)"
_STEMS = (
    *SAME_STEM,
    ("{name}", "{name}x{scale}"),
    ("{name}", "{name}_x{scale}"),
    ("{name}", "{name}X{scale}"),
    ("{name}_HR", "{name}_LR"),
)


def _set(
    name: str,
    count: int,
    citation: str,
    where: str,
    licence: str = "research use",
    *,
    homes: tuple[str, ...] = (),
    gt: tuple[str, ...] = ("HR",),
    lq: tuple[str, ...] = ("LRbicx{scale}", "LR_bicubic/X{scale}"),
    names: tuple[str, ...] | None = None,
    rgb: bool = False,
) -> Layout:
    return Layout(
        name=name,
        counts=dict.fromkeys((2, 3, 4, 8), count),
        homes=(name, *homes),
        gt=gt,
        lq=lq,
        spellings=_STEMS,
        names=names,
        lq_made=True,
        rgb=rgb,
        source=where,
        licence=licence,
        citation=citation,
    )


LAYOUTS = (
    _set("Set5", 5, "Bevilacqua et al., BMVC 2012", _SWINIR, rgb=True),
    _set("Set14", 14, "Zeyde et al., Curves and Surfaces 2010", _SELFEXSR),  # one of its files is grey
    _set("BSD100", 100, "Martin et al., ICCV 2001", _SELFEXSR, homes=("B100",), rgb=True),
    _set("Urban100", 100, "Huang et al., CVPR 2015", _SELFEXSR),
    _set("Manga109", 109, "Matsui et al., 2017", "http://www.manga109.org", "academic use, on application"),
    _set(
        "DIV2K-val",
        100,
        "Agustsson and Timofte, CVPRW 2017",
        "https://data.vision.ee.ethz.ch/cvl/DIV2K",
        "academic research",
        homes=("DIV2K_val", "DIV2K_valid", "DIV2K"),
        gt=("HR", "DIV2K_valid_HR"),
        lq=("LRbicx{scale}", "LR_bicubic/X{scale}", "DIV2K_valid_LR_bicubic/X{scale}"),
        names=tuple(f"{i:04d}" for i in range(801, 901)),
        rgb=True,
    ),
)
