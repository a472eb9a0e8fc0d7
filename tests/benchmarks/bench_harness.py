"""What the harness costs: images per second of ``srbench test`` beside a bare loop over the same network and metrics.

Both run in this process in turns, on the same images with the same weights; start-up (imports, building, finding files)
is left out of both. With SRBENCH_SHARED (or ../shared) the images are BSD100 and the weights DVMSR's; else the
photographs of scikit-image and random weights, of which the speed is the same.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer

from srbench.benchmark import Benchmark
from srbench.datamodule import SRDataModule
from srbench.datamodules import Classical, Photos
from srbench.images import read_image, to_tensor, to_uint8
from srbench.module import SRModule
from srbench.modules import DVMSR
from srbench.protocol import load_protocol
from srbench.scoring import Scorer

ROUNDS = 3
SHARED = Path(os.environ.get("SRBENCH_SHARED", Path(__file__).resolve().parents[3] / "shared"))


class Stopwatch(Callback):
    """Seconds from the first test batch to the last."""

    seconds = 0.0

    def on_test_start(self, *_: Any) -> None:
        self.start = time.perf_counter()

    def on_test_end(self, *_: Any) -> None:
        self.seconds = time.perf_counter() - self.start


def main() -> None:
    torch.set_num_threads(1)
    data, module = _data(), _module()
    test_set = data.test_sets[0]
    for i in range(min(len(test_set), 3)):
        module.upscale(test_set[i]["lq"][None])  # both start warm
    print(f"{test_set.info.name}: {len(test_set)} images, {module.method}, y219_crop4, one thread")
    ratios = []
    for _ in range(ROUNDS):
        bare, harness = bare_loop(module, data), srbench_test(module)
        ratios.append(harness / bare)
        n = len(test_set)
        print(f"bare loop {n / bare:.2f} images/s, srbench test {n / harness:.2f} images/s, ratio {harness / bare:.3f}")
    print(f"the harness costs {100 * (statistics.median(ratios) - 1):+.1f} % (median of {ROUNDS} rounds)")


def bare_loop(module: SRModule, data: SRDataModule) -> float:
    """The least that anyone would write: read, restore, round, score."""
    test_set = data.test_sets[0]
    scorer = Scorer(load_protocol("y219_crop4"))
    start = time.perf_counter()
    with torch.inference_mode():
        for i in range(len(test_set)):
            if isinstance(data, Classical):
                lq, gt = _files(data, test_set.names[i])
            else:
                lq, gt = test_set[i]["lq"], to_uint8(test_set[i]["gt"])
            sr = to_uint8(module.upscale(lq[None])[0])
            scorer.score(test_set.names[i], sr, gt[: sr.shape[0], : sr.shape[1]])
    return time.perf_counter() - start


def srbench_test(module: SRModule) -> float:
    """The same through trainer, data module, callback, journal, record and an empty cache of scores."""
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as out:
        os.environ["SRBENCH_CACHE"] = str(Path(out) / "cache")
        trainer = Trainer(
            logger=False,
            enable_progress_bar=True,
            enable_model_summary=False,
            use_distributed_sampler=False,
            accelerator="cpu",
            default_root_dir=out,
            callbacks=[Benchmark(protocol="y219_crop4", out=out), watch],
        )
        trainer.test(module, _data(), verbose=False)
    return watch.seconds


def _data() -> SRDataModule:
    if (SHARED / "data" / "BSD100").is_dir():
        return Classical(root=str(SHARED / "data"), sets=["BSD100"])
    return Photos()


def _module() -> SRModule:
    weights = SHARED / "weights" / "dvmsr_x4_ntire2024.pth"
    torch.manual_seed(0)
    module = DVMSR(weights=str(weights) if weights.is_file() else None).eval()
    module.prepare()
    return module


def _files(data: Classical, name: str) -> tuple[torch.Tensor, Any]:
    folder = Path(data.root) / "BSD100"
    lq = read_image(folder / "LRbicx4" / f"{name}.png").pixels
    return to_tensor(lq), read_image(folder / "HR" / f"{name}.png").pixels


if __name__ == "__main__":
    main()
