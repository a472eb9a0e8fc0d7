"""Other people's models: checkpoints that libraries run, their own programs, and folders of finished images.

``SpandrelSR`` runs some fifty published architectures from their authors' files, with the padding of the authors' own
test scripts; ``LDMSR`` runs the latent diffusion model that diffusers has; ``ExternalCommand`` runs the authors'
program in its own environment; ``ImageFolder`` gives any method in the world a row.
"""

from srbench.modules.external.external_command import ExternalCommand
from srbench.modules.external.image_folder import ImageFolder
from srbench.modules.external.ldm import LDMSR
from srbench.modules.external.spandrel_sr import SpandrelSR

__all__ = ["LDMSR", "ExternalCommand", "ImageFolder", "SpandrelSR"]
