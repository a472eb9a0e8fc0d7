"""``srbench score`` beside IQA-PyTorch's own command line: PSNR and SSIM of one folder, end to end, imports included.

Both commands are processes of their own, in turns, on the same files with the same definitions (RGB for PSNR, YIQ for
SSIM). Then the same folder once more with the cache filled. With SRBENCH_SHARED (or ../shared)
the images are BSD100, enlarged by MATLAB's bicubic; else the photographs of scikit-image.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from srbench.datamodule import SRDataModule
from srbench.datamodules import Classical, Photos
from srbench.datamodules.degradations import imresize
from srbench.images import to_uint8, write_png

SHARED = Path(os.environ.get("SRBENCH_SHARED", Path(__file__).resolve().parents[3] / "shared"))
BIN = Path(sys.executable).parent


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        count = make(folder)
        ours = [
            "srbench",
            "score",
            str(folder / "sr"),
            "--ref",
            str(folder / "gt"),
            "--metrics",
            "psnr_rgb",
            "ssim_yiq",
        ]
        pyiqa = ["pyiqa", "psnr", "ssim", "-t", str(folder / "sr"), "-r", str(folder / "gt"), "--device", "cpu"]
        start_up, _ = run([*ours[:2], "--help"], folder)
        first, said = run([*ours, "--no-cache"], folder)
        theirs, says = run(pyiqa, folder)
        print(f"{count} images, psnr_rgb and ssim_yiq, whole process")
        print(f"srbench score {first:.2f} s ({count / first:.1f} images/s), mean {values(said)}")
        print(f"pyiqa         {theirs:.2f} s ({count / theirs:.1f} images/s), {' '.join(says.split()[-12:])}")
        print(f"srbench score is {theirs / first:.1f} times as fast (wanted: 8)")
        filled, _ = run(ours, folder)
        again, said = run(ours, folder)
        share = (again - start_up) / (filled - start_up)
        print(f"once more: {said.splitlines()[-1]}; {again:.2f} s after {filled:.2f} s, start-up {start_up:.2f} s")
        print(f"start-up aside the second run takes {100 * share:.1f} % of the first (wanted: under 10)")


def run(command: list[str], folder: Path) -> tuple[float, str]:
    """Seconds and output of a command."""
    environment = {**os.environ, "SRBENCH_CACHE": str(folder / "cache")}
    start = time.perf_counter()
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{command[0]} failed: {done.stderr.strip().splitlines()[-1:]}")
    return time.perf_counter() - start, done.stdout


def values(said: str) -> str:
    return ", ".join(re.findall(r"^(?:psnr|ssim)_\w+ +[\d.]+", said, re.MULTILINE))


def make(folder: Path) -> int:
    """Writes ``sr`` and ``gt``; returns how many images."""
    data: SRDataModule = Photos(scale=4)
    if (SHARED / "data" / "BSD100").is_dir():
        data = Classical(root=str(SHARED / "data"), sets=["BSD100"], scale=4)
    test_set = data.test_sets[0]
    for i in range(len(test_set)):
        sample = test_set[i]
        lq = (sample["lq"] * 255).round().to(torch.uint8)
        sr = imresize(lq, 4).permute(1, 2, 0).contiguous().numpy()
        write_png(folder / "sr" / f"{sample['name']}.png", sr)
        write_png(folder / "gt" / f"{sample['name']}.png", to_uint8(sample["gt"]))
    return len(test_set)


if __name__ == "__main__":
    main()
