"""RRDB: the generator of ESRGAN, BSRGAN and Real-ESRGAN, trained for PSNR.

Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks", ECCVW 2018 (23 blocks, 64 features,
growth 32: 16.70 M parameters). Loads BasicSR's names and both older layouts of the ESRGAN repository.
"""

from srbench.modules.rrdb.rrdb import RRDB

__all__ = ["RRDB"]
