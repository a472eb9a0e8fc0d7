"""Other people's models: checkpoints that spandrel recognises, and folders of finished images.

Nothing here is a paper's method. ``SpandrelSR`` runs some fifty published architectures from their authors' files, with
the padding of the authors' own test scripts; ``ImageFolder`` gives any method in the world a row.
"""

from srbench.modules.external.image_folder import ImageFolder
from srbench.modules.external.spandrel_sr import SpandrelSR

__all__ = ["ImageFolder", "SpandrelSR"]
