"""HR-aware: self-supervised super-resolution with an eye on good images (Zhang and Yao, arXiv 2411.16175).

No code was released, and the supplement with architecture, L_rec and settings is not in the text: what the paper
leaves open follows LWay and DegAE, whose networks it builds on, or is our choice, and says so where it stands.
"""

from srbench.modules.hraware.finetune import HRAwareFinetune
from srbench.modules.hraware.pretrain import HRAwarePretrain

__all__ = ["HRAwareFinetune", "HRAwarePretrain"]
