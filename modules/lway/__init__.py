"""LWay: "Low-Res Leads the Way" (Chen et al., CVPR 2024), self-supervised by the reconstruction of lq.

Written from the paper, the authors' answers in their repository's issues, and HR-aware's account of it; no code was
released. What none of them says is our choice, and says so where it stands.
"""

from srbench.modules.lway.finetune import LWayFinetune
from srbench.modules.lway.pretrain import LWayPretrain

__all__ = ["LWayFinetune", "LWayPretrain"]
