"""DVMSR: a Mamba network for efficient super-resolution.

Lei, Zhang, Cao, "DVMSR: Distillated Vision Mamba for Efficient Super-Resolution", CVPRW 2024 (NTIRE efficient SR).
Presets ``student`` (the published network, 424,428 parameters), ``teacher`` (d 192, eight groups, 7,432,131; no weights
released) and ``d180`` (3,651,159; the "Mamba" row of DACESR's backbone table). Deviations: the student is published as
distilled from the teacher, and neither that code nor its settings are released: ``DVMSR`` trains plainly with L1,
``DVMSRDistil`` also by the output of a teacher, with settings of ours. See ``srbench.modules.nets.rssb`` for where
paper and released network disagree.
"""

from srbench.modules.dvmsr.distil import DVMSRDistil
from srbench.modules.dvmsr.dvmsr import DVMSR

__all__ = ["DVMSR", "DVMSRDistil"]
