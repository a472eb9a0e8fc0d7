"""The published sets, declared: what each holds, how it lies on disk, where it comes from. Nothing here imports torch.

:data:`SETS` is what ``srbench data list`` and ``srbench data check`` read; the data modules take their part of it.
"""

from types import MappingProxyType

from srbench.datamodules.published import challenges, classical, crops, div2k, drealsr, real, realsr

SETS = MappingProxyType(
    {
        layout.name: layout
        for group in (classical, div2k, realsr, drealsr, challenges, crops, real)
        for layout in group.LAYOUTS
    }
)
"""Every published set by its name in records."""
