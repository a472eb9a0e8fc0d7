"""SRTTA: an SR network that adapts itself to the degradation of every image it is given.

Deng, Chen, Niu, Li, Zhuang and Tan, "Efficient Test-Time Adaptation for Super-Resolution with Second-Order Degradation
and Reconstruction", NeurIPS 2023 (arXiv 2310.19011); settings of the released code, DengZeshuai/SRTTA (MIT).
``SRTTAClassifier`` learns to tell blur, noise and JPEG; ``SRTTA`` degrades an image once more by the types found in it
and lets a network's deep features of both agree, while what matters for clean images is held.

Where paper and released code disagree, or neither fits a benchmark:

- The released importance of weights comes from the last of Set5's images alone, as gradients are zeroed before each;
  the paper's average is the default, ``importance: last`` is the release. Ours is of sr clamped to [0,1].
- The release trains the classifier on RGB and feeds it BGR; ``reverse_channels`` does so for the authors' file.
- It keeps the classifier that is best on DIV2K-C, the test data; here the last one is kept.
- It resets for each corruption of its benchmark (``reset: domain``) or never (``lifelong``), carries weights and Adam's
  state from image to image, and scores every image with the last weights. Here each image is scored with the weights as
  they are when it has been learned, and by default (``reset: image``) learning starts anew with it, so that neither
  order nor number of processes matter. Ten steps of 5e-5 from the start change little.
- It adapts EDSR alone; for RRDB and SwinIR, :mod:`srbench.modules.srtta.layout` says what is taken as the body.
"""

from srbench.modules.srtta.classifier import SRTTAClassifier
from srbench.modules.srtta.srtta import SRTTA

__all__ = ["SRTTA", "SRTTAClassifier"]
