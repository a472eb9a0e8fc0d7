"""FAR, the feature-alignment regulariser: do an image's features relate to CLIP's as those of good images do?"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def gram(features: Tensor) -> Tensor:
    """F F^T / (C H W) of features (B,C,H,W): (B,C,C) float32.

    The paper leaves the norm open; the code of the authors' earlier PDD divides so.
    """
    flat = features.float().flatten(2)
    return flat @ flat.transpose(1, 2) / (flat.shape[1] * flat.shape[2])


class FeatureAlignment(nn.Module):
    """Phi_far (Eqs. 9 to 11): how far T(S(e_im)) lies from S(e_cl), for the mean and the greatest values.

    The norm of each sample's vector is L2; the paper's Frobenius norm of a vector is that. Both T are linear with a
    bias; 66,560 parameters from 64 to 512 channels. Descriptors are small (1e-4 for CLIP, thousands for EDSR), and
    Adam's steps of 2e-4 would not suit them: T works in units that the first batch sets (:meth:`calibrate`), which
    changes how it learns and not what it can say, nor the value of Phi_far. It begins at 0.

    Args:
        channels: of e_im, the image encoder's features.
        wanted: of e_cl, the established encoder's.

    Attributes:
        units: (2,2), of mean and greatest values (rows) of e_im and e_cl (columns); 0 where not set yet.
    """

    units: Tensor

    def __init__(self, channels: int = 64, wanted: int = 512) -> None:
        super().__init__()
        self.t_avg = nn.Linear(channels, wanted)
        self.t_max = nn.Linear(channels, wanted)
        for layer in (self.t_avg, self.t_max):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.register_buffer("units", torch.zeros(2, 2))

    def calibrate(self, e_im: Tensor, e_cl: Tensor) -> None:
        """Sets the units, once: the root mean square of a batch's descriptors, the same in every process."""
        if bool(self.units.any()):
            return
        with torch.no_grad():
            pairs = zip(statistics(e_im), statistics(e_cl), strict=True)
            squares = torch.stack([torch.stack([part.square().mean() for part in pair]) for pair in pairs])
            if torch.distributed.is_available() and torch.distributed.is_initialized():
                torch.distributed.all_reduce(squares)
                squares /= torch.distributed.get_world_size()
            self.units.copy_(squares.sqrt())

    def forward(self, e_im: Tensor, e_cl: Tensor) -> Tensor:
        """Phi_far of every sample, (B,), of features (B,C,H,W) and (B,C',H',W')."""
        units = self.in_use()
        parts = zip((self.t_avg, self.t_max), statistics(e_im), statistics(e_cl), units, strict=True)
        return sum((_norm(t(own / u[0]) * u[1] - wanted) for t, own, wanted, u in parts), start=e_im.new_zeros(()))

    def in_use(self) -> Tensor:
        """The units, 1 where they are not set."""
        return torch.where(self.units > 0, self.units, 1.0)


class ConstantAlignment(nn.Module):
    """What Phi_far comes to without e_im: the constants that come closest to CLIP's descriptors, learnt beside T.

    T's bias alone can learn the mean descriptor of good images; FAR tells images apart only where it is below this.

    Args:
        wanted: channels of e_cl.
    """

    def __init__(self, wanted: int = 512) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(wanted))
        self.most = nn.Parameter(torch.zeros(wanted))

    def forward(self, e_cl: Tensor, units: Tensor) -> Tensor:
        """The distance of every sample, (B,); its gradient reaches the constants alone.

        Args:
            e_cl: (B,wanted,h,w).
            units: what :meth:`FeatureAlignment.in_use` gives.
        """
        mean, most = statistics(e_cl.detach())
        return _norm(self.mean * units[0, 1] - mean) + _norm(self.most * units[1, 1] - most)


def statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """S_avg and S_max (Eq. 10), (B,C) float32 each: mean and greatest value of each row of the Gram matrix."""
    matrix = gram(features)
    return matrix.mean(2), matrix.amax(2)


def _norm(difference: Tensor) -> Tensor:
    return torch.linalg.vector_norm(difference, dim=1)
