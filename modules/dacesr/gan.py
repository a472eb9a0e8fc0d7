"""Stage 3: the conditioned network learns by L1, perceptual and adversarial losses."""

from __future__ import annotations

from srbench.modules.dacesr.conditioned import Conditioned
from srbench.modules.gan import AdversarialSR


class DACESRGAN(Conditioned, AdversarialSR):
    """DACESR: the network of stage 2 against a discriminator, with a VGG19 to compare by (Eq. 8)."""

    stage = "gan"
    unhashed = (*AdversarialSR.unhashed, "additions")
