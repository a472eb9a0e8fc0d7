"""Two steps of training with the UNet sharded by FSDP over two processes, or whole in one: a script of its own.

``python sharded_latent.py OUT`` in one process; with RANK, WORLD_SIZE and MEETING, a new file, in each of two.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))
from plain_latent import PlainLatent  # type: ignore[import-not-found]

TINY: dict[str, Any] = {"size": "tiny", "family": "sd15", "short_side": 64, "allow_random_backbones": True}


def train(method: PlainLatent, gt: Tensor, apart: list[nn.Parameter]) -> None:
    """Two steps of SGD; gradients of ``apart`` are averaged over the processes here, all others by FSDP."""
    optimizer = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.5)
    lq = nn.functional.avg_pool2d(gt, 4)
    for _ in range(2):
        optimizer.zero_grad()
        method.training_step({"gt": gt, "lq": lq, "name": ["a"] * len(gt)}, 0).backward()
        for parameter in apart:
            assert parameter.grad is not None
            dist.all_reduce(parameter.grad)
            parameter.grad /= dist.get_world_size()
        optimizer.step()


def main(out: str) -> None:
    """Trains and writes what was learned, with the share of the UNet's numbers that this process holds."""
    torch.set_num_threads(1)
    os.environ["PL_GLOBAL_SEED"] = "0"
    method = PlainLatent(**TINY)
    method.log = lambda *_, **__: None
    gt = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    whole = sum(p.numel() for p in method.unet.parameters())
    if "RANK" not in os.environ:
        train(method, gt, [])
        torch.save({"state": method.state_dict(), "share": 1.0}, out)
        return
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    # A file to meet at, since a port that was free may be taken meanwhile.
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    dist.init_process_group("gloo", init_method=f"file://{os.environ['MEETING']}", rank=rank, world_size=world)
    mesh = init_device_mesh("cpu", (world,))
    unet: Any = method.unet
    for block in (*unet.down_blocks, unet.mid_block, *unet.up_blocks, unet):
        fully_shard(block, mesh=mesh)
    PlainLatent.global_rank = property(lambda self: rank)
    train(method, gt[2 * rank : 2 * rank + 2], [method.share, method.context])
    held = sum(p.to_local().numel() for p in unet.parameters())
    state = {k: (v.full_tensor() if hasattr(v, "full_tensor") else v).detach() for k, v in method.state_dict().items()}
    if rank == 0:
        torch.save({"state": state, "share": held / whole}, out)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
