"""KDSR: convolutions filtered by what an encoder reads of the degradation, taught by one that sees gt too.

Xia et al., "Knowledge Distillation based Degradation Estimation for Blind Super-Resolution", ICLR 2023, arXiv
2211.16928; its real-world variant KDSR-GAN, https://github.com/Zj-BinXia/KDSR at c7c9e81, which states no licence:
written here from the paper and the behaviour of the released networks. ``KDSRTeacher`` learns with gt in sight
(KDSR_T), ``KDSR`` without it, by L1 and by the teacher's view of the degradation (KDSR_S), ``KDSRGAN`` adversarially.
Deviation: degradation settings are drawn per image instead of per batch with a pool of pairs.
"""

from srbench.modules.kdsr.student import KDSR, KDSRGAN
from srbench.modules.kdsr.teacher import KDSRTeacher

__all__ = ["KDSR", "KDSRGAN", "KDSRTeacher"]
