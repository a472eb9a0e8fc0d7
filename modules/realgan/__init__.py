"""The two stages of Real-ESRGAN's recipe for any network: fidelity first, then a discriminator.

Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data", ICCVW 2021; the same
recipe trains BSRGAN (ICCV 2021), SwinIR-GAN (ICCVW 2021) and DACESR. ``PixelSR`` learns by L1, ``GANSR`` by L1,
perceptual and adversarial losses; each takes any ``net`` by its class path. Degradations belong to the data
(``data.init_args.degradation``). Deviations: both losses of the discriminator are propagated in one backward pass,
which sums the same gradients; the average of the weights starts after the first step.
"""

from srbench.modules.realgan.stages import GANSR, PixelSR

__all__ = ["GANSR", "PixelSR"]
