"""DeeDSR: Degradation-Aware Stable Diffusion for real-world super-resolution (ECCV 2024 workshops, arXiv 2404.00661).

Released code: bichunyang419/DeeDSR, commit 108132a; no weights. Paper and code disagree in places, and each is named
where it matters. The encoder of stage 1 is not the ResNet50 that the paper names; see
:class:`~srbench.modules.deedsr.learner.DegradationLearner`.
"""

from srbench.modules.deedsr.deedsr import DeeDSR
from srbench.modules.deedsr.moco import DeeDSRLearner

__all__ = ["DeeDSR", "DeeDSRLearner"]
