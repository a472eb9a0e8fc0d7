"""CasSR: Activating Image Power for Real-World Image Super-Resolution (Chen et al., arXiv 2403.11451).

Two stages on Stable Diffusion 1.5: SCEdit makes a reference image of lq, and a ControlNet with attention in the UNet's
upward path looks at both. No code was released: what the paper leaves open is an argument of
:class:`~srbench.modules.cassr.cassr.CasSR`, with its default's reason there. The tuners are SCEdit's (arXiv 2312.11392,
modelscope/scepter at commit 9f5b439).
"""

from srbench.modules.cassr.activation import CasSRActivation
from srbench.modules.cassr.cassr import CasSR

__all__ = ["CasSR", "CasSRActivation"]
