"""FID against its formula, against IQA-PyTorch's own on the same seeded network, and in two processes."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from srbench import weight_files
from srbench.errors import InputError, MetricUnavailable
from srbench.images import Pixels, file_sha256, read_image, write_png
from srbench.metrics import SetMetric, SetScores, find
from srbench.metrics.fid import frechet_distance, resize_clean, resize_tf

fidelity = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")


def features(n: int, d: int, seed: int, shift: float = 0.0) -> NDArray[np.float32]:
    draw = np.random.default_rng(seed)
    return (draw.normal(size=(n, d)) @ draw.normal(size=(d, d)) / d + shift).astype(np.float32)


def pictures(count: int, seed: int, blur: int = 1) -> list[Pixels]:
    """Smooth random colour fields with some noise; ``blur`` coarsens them, as a bad restoration would."""
    draw = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        coarse = Image.fromarray(draw.integers(0, 256, (12 // blur, 16 // blur, 3), dtype=np.uint8))
        field = np.asarray(coarse.resize((160, 120), Image.Resampling.BICUBIC), dtype=np.float64)
        made.append((field + draw.normal(0, 6 / blur, field.shape)).clip(0, 255).astype(np.uint8))
    return made


def random_inception(seed: int) -> dict[str, torch.Tensor]:
    """A state of TensorFlow's Inception with seeded values that keep the signal alive through 94 layers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fidelity, "load_state_dict_from_url", lambda *a, **k: {})
        patch.setattr(fidelity.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        net = fidelity.FeatureExtractorInceptionV3("random", ["2048"])
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            fan = module.weight[0].numel()
            module.weight.data = torch.randn(module.weight.shape, generator=generator) * (2 / fan) ** 0.5
    return dict(net.state_dict())


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    torch.save(random_inception(0), folder / weight_files.find("inception").file)
    return folder


@pytest.fixture
def installed(weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The seeded Inception where the metric looks for its own; its hash stands in the catalogue."""
    weight = weight_files.find("inception")
    path = weights / weight.file
    seeded = dataclasses.replace(weight, sha256=file_sha256(path), size=path.stat().st_size)
    monkeypatch.setattr(weight_files, "find", lambda name: seeded)
    monkeypatch.setenv("SRBENCH_WEIGHTS", str(weights))
    return path


def built(name: str) -> SetScores:
    metric = find(name)
    assert isinstance(metric, SetMetric)
    return metric.make("cpu")


# ------------------------------------------------------------------------------------------------- the distance


def test_distance_is_the_formula_with_a_matrix_square_root() -> None:
    from scipy.linalg import sqrtm

    sr, gt = features(80, 24, 1), features(90, 24, 2, shift=0.3)
    one, two = (np.cov(f.astype(np.float64), rowvar=False) for f in (sr, gt))
    shift = sr.astype(np.float64).mean(0) - gt.astype(np.float64).mean(0)
    expected = shift @ shift + np.trace(one + two - 2 * sqrtm(one @ two).real)
    assert frechet_distance(sr, gt) == pytest.approx(expected, rel=1e-9)


def test_distance_of_fewer_images_than_features_is_the_formula_by_singular_values() -> None:
    sr, gt = features(7, 64, 3), features(9, 64, 4, shift=0.2)
    one, two = (f.astype(np.float64) - f.astype(np.float64).mean(0) for f in (sr, gt))
    one, two = one / np.sqrt(len(one) - 1), two / np.sqrt(len(two) - 1)
    shift = sr.astype(np.float64).mean(0) - gt.astype(np.float64).mean(0)
    root = np.linalg.svd(one @ two.T, compute_uv=False).sum()  # tr (S1 S2)^(1/2), without squaring anything
    assert frechet_distance(sr, gt) == pytest.approx(
        shift @ shift + (one**2).sum() + (two**2).sum() - 2 * root, rel=1e-5
    )


def test_one_dimension_has_a_closed_form() -> None:
    sr, gt = np.array([[0.0], [2.0]], np.float32), np.array([[5.0], [9.0]], np.float32)  # means 1, 7; deviations √2, √8
    assert frechet_distance(sr, gt) == pytest.approx((7 - 1) ** 2 + (8**0.5 - 2**0.5) ** 2, rel=1e-12)


def test_distance_is_symmetric_and_zero_for_equal_sets_in_any_order() -> None:
    sr, gt = features(40, 16, 5), features(40, 16, 6, shift=0.1)
    distance = frechet_distance(sr, gt)
    assert distance > 0.1
    assert frechet_distance(gt, sr) == pytest.approx(distance, rel=1e-9)
    assert frechet_distance(sr[::-1], gt[np.random.default_rng(0).permutation(40)]) == pytest.approx(distance, rel=1e-9)
    assert frechet_distance(sr, sr[::-1]) == pytest.approx(0, abs=1e-9)


def test_distance_is_not_the_single_precision_one() -> None:
    """Far means: squares of 1e3 in float32 would eat a variance of 1e-2."""
    sr, gt = features(60, 4, 7, shift=1000), features(60, 4, 8, shift=1000)
    near, far = frechet_distance(sr - np.float32(1000), gt - np.float32(1000)), frechet_distance(sr, gt)
    assert far == pytest.approx(near, rel=1e-3)


@pytest.mark.parametrize("few", [0, 1])
def test_fewer_than_two_images_are_refused(few: int) -> None:
    with pytest.raises(InputError, match=f"covariance of {few} image.*at least two"):
        frechet_distance(features(few, 4, 0), features(5, 4, 0))
    with pytest.raises(InputError, match="at least two"):
        frechet_distance(features(5, 4, 0), features(few, 4, 0))


def test_features_that_are_no_numbers_are_refused() -> None:
    broken = features(4, 4, 0)
    broken[1, 2] = np.nan
    with pytest.raises(InputError, match="NaN"):
        frechet_distance(broken, features(4, 4, 1))


# ------------------------------------------------------------------------------------------------- the resizes


def test_clean_resize_is_pillows_bicubic_of_each_channel_in_float() -> None:
    image = pictures(1, 0)[0]
    ours = resize_clean(image)
    assert ours.shape == (3, 299, 299)
    assert ours.dtype == torch.float32
    for c in range(3):
        plane = Image.fromarray(image[..., c].astype("float32"), mode="F").resize((299, 299), Image.Resampling.BICUBIC)
        assert np.array_equal(ours[c].numpy(), np.asarray(plane).clip(0, 255))
    assert not np.array_equal(ours.numpy(), ours.numpy().round())  # no rounding to 8 bits in between


def test_clean_resize_cuts_what_bicubic_overshoots() -> None:
    edge = np.zeros((40, 40, 3), np.uint8)
    edge[:, 20:] = 255
    assert resize_clean(edge).min() == 0
    assert resize_clean(edge).max() == 255


def test_tf_resize_takes_source_pixel_i_times_scale_without_half_a_pixel() -> None:
    ramp = np.repeat(np.arange(0, 200, 2, dtype=np.uint8)[None, :, None], 100, axis=0).repeat(3, axis=2)  # (100,100,3)
    expected = np.minimum(np.arange(299) * (100 / 299), 99) * 2
    assert np.allclose(resize_tf(ramp)[0, 0].numpy(), expected, atol=1e-3)


def test_images_of_the_networks_size_are_left_alone() -> None:
    image = np.random.default_rng(0).integers(0, 256, (299, 299, 3), dtype=np.uint8)
    for resize in (resize_clean, resize_tf):
        assert np.array_equal(resize(image).numpy(), image.transpose(2, 0, 1))


# ------------------------------------------------------------------------------------------------- the network


def test_without_weights_it_says_what_is_missing(bare_machine: Path) -> None:
    text = r"unavailable: weights-inception-2015-12-05-6726825d.pth \(srbench weights fetch inception\)"
    with pytest.raises(MetricUnavailable, match=text):
        built("fid_clean")


def test_a_file_of_another_network_is_refused(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = installed.parent / "other" / installed.name
    other.parent.mkdir()
    torch.save({"conv.weight": torch.zeros(1)}, other)
    monkeypatch.setattr(weight_files, "need", lambda name: other)
    with pytest.raises(InputError, match="another network"):
        built("fid_tf")


def test_features_do_not_depend_on_the_batch_nor_on_the_runs_random_numbers(installed: Path) -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    metric = built("fid_clean")
    images = pictures(4, 0)
    whole = metric.describe(images)
    assert whole.shape == (4, 2048)
    assert whole.dtype == np.float32
    assert torch.equal(torch.random.get_rng_state(), before)
    alone = np.concatenate([metric.describe([image]) for image in images])
    assert np.abs(whole - alone).max() <= 1e-5 * np.abs(whole).max()
    assert np.abs(whole[0] - whole[1]).max() > 1e-3 * np.abs(whole).max()


def test_tf_features_are_torch_fidelitys_own(installed: Path) -> None:
    images = pictures(2, 1)
    own = fidelity.FeatureExtractorInceptionV3("own", ["2048"], feature_extractor_weights_path=str(installed))
    batch = torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2))
    expected = own(batch)[0].numpy()
    assert np.abs(built("fid_tf").describe(images) - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "mode"), [("fid_clean", "clean"), ("fid_tf", "legacy_tensorflow")])
def test_equals_iqa_pytorch_on_the_same_network(
    name: str, mode: str, installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    download = pytest.importorskip("pyiqa.utils.download_util")
    cache = tmp_path / "pyiqa"
    cache.mkdir()
    (cache / "pt_inception-2015-12-05-6726825d.pth").symlink_to(installed)
    monkeypatch.setattr(download, "DEFAULT_CACHE_DIR", str(cache))
    import pyiqa

    sides = {"sr": pictures(12, 2, blur=2), "gt": pictures(12, 2)}
    for side, images in sides.items():
        for i, image in enumerate(images):
            write_png(tmp_path / side / f"{i:02}.png", image)
    theirs = pyiqa.create_metric("fid", device=torch.device("cpu"))(
        str(tmp_path / "sr"), str(tmp_path / "gt"), mode=mode, num_workers=0, verbose=False
    )
    metric = built(name)
    ours = metric.distance(metric.describe(sides["sr"]), metric.describe(sides["gt"]))
    assert ours > 0
    assert ours == pytest.approx(float(theirs), rel=1e-3)


# ------------------------------------------------------------------------------------------------- processes


RANK = """
import os, sys
import numpy as np
import torch.distributed as dist
from srbench.metrics.fid import frechet_distance

rank, world, folder = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), sys.argv[1]
dist.init_process_group("gloo")
sr, gt = np.load(f"{folder}/sr.npy"), np.load(f"{folder}/gt.npy")
gathered = [None] * world
dist.all_gather_object(gathered, [(i, sr[i], gt[i]) for i in range(rank, len(sr), world)])
rows = sorted((row for part in gathered for row in part), key=lambda row: row[0])
value = frechet_distance(np.stack([row[1] for row in rows]), np.stack([row[2] for row in rows]))
open(f"{folder}/{rank}.txt", "w").write(repr(value))
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_give_what_one_gives(tmp_path: Path) -> None:
    """Also holds torchmetrics back from adding up both processes' features, which would count each twice."""
    sr, gt = features(41, 24, 9), features(41, 24, 10, shift=0.2)
    np.save(tmp_path / "sr.npy", sr)
    np.save(tmp_path / "gt.npy", gt)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    ranks = [
        subprocess.Popen([sys.executable, "-c", RANK, str(tmp_path)], env={**os.environ, **place, "RANK": str(rank)})
        for rank in range(2)
    ]
    assert [rank.wait(300) for rank in ranks] == [0, 0]
    one = frechet_distance(sr, gt)
    for rank in range(2):
        assert float((tmp_path / f"{rank}.txt").read_text()) == pytest.approx(one, rel=1e-6)


# ------------------------------------------------------------------------------------------------- official value


@pytest.mark.slow
def test_official_value(shared: Path) -> None:
    """IQA-PyTorch's calibration: 220.5819 in mode clean. Its 225.3678 is mode legacy_pytorch, which fid_tf is not."""
    if weight_files.locate("inception") is None:
        pytest.skip("TensorFlow's Inception is not here: srbench weights fetch inception")
    folder = shared / "data" / "iqa_calibration"
    metric = built("fid_clean")
    sides = []
    for side in ("dist_dir", "ref_dir"):
        images = [read_image(path).pixels for path in sorted((folder / side).iterdir()) if path.suffix != ".txt"]
        sides.append(np.concatenate([metric.describe([image]) for image in images]))
    assert metric.distance(*sides) == pytest.approx(220.5819, abs=0.02)
