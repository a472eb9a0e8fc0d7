"""The shipped tables on miniatures: test sets cut down, tiny random checkpoints, and what a finished table holds."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import yaml
from PIL import Image
from torch import nn

from srbench.catalog import find_config, load_stack
from srbench.cli import main
from srbench.datamodules.published import SETS
from srbench.images import file_sha256
from srbench.records import find_records
from srbench.tables import MethodSpec, TableSpec, load_table

IMAGES = 1
"""Of every test set."""

MADE = {"deedsr_val": ["--crops", str(IMAGES)], "deedsr_v2": ["--crops", str(IMAGES)], "cassr_div2k": []}
"""Folder of a made set, as the tables name it and as ``srbench data make`` calls it -> what cuts it down."""

FEW_STEPS: dict[str, dict[str, Any]] = {
    "ZSSR": {"model.init_args.iterations": 2},
    "KernelGAN-ZSSR": {"model.init_args.upscaler.init_args.iterations": 2},
}
"""Rows that learn from each image: no weights of theirs could be absent, so ``--trial`` leaves them as they are."""

CAPTIONED: dict[str, dict[str, Any]] = {
    "CasSR-caption": {"model.init_args.captioner": "null", "model.init_args.captions": "captions.csv"},
}
"""A row whose captioner is a download: the captions come from a file instead, and a trial is possible."""

COMMANDS = "methods/command/"
NO_NETWORK_HERE = "femasr"
"""Its layout has one size alone, 136 MB: its cells name the missing file."""

WORDLESS = {("DeeDSR-text", "RealSR-crop128")}
"""Rows that read the degradation in words, on sets without any: refused cell by cell, and not printed either."""

LQ_SIDE = 16
"""Of what is restored; methods that work on latents need 64 pixels of sr."""


# --------------------------------------------------------------------------------------------------------------- inputs


def lay_out(root: Path, spec: TableSpec, miniatures: ModuleType) -> None:
    """Lays out what a table tests on under ``root``, where the table looks for it; what lies there stays."""
    for test_set in spec.test_sets:
        mark = root / ".laid" / test_set.name
        if mark.exists():
            continue
        if test_set.note:
            _make(str(test_set.root), root, miniatures)
        else:
            miniatures.make(SETS[test_set.name], root, count=IMAGES, side=LQ_SIDE)
        mark.parent.mkdir(exist_ok=True)
        mark.touch()


def _make(name: str, root: Path, miniatures: ModuleType) -> None:
    """A made set of one photograph, by ``srbench data make``."""
    photographs = root / ".photographs"
    photographs.mkdir(exist_ok=True)
    photograph = Image.fromarray(miniatures._photograph("chelsea.png"))
    photograph.crop((0, 0, 300, 260)).resize((600, 520), Image.Resampling.BICUBIC).save(photographs / "0801.png")
    given = ["--hr", str(photographs), "--out", str(root / name), "--title", "div2k", "--workers", "1"]
    assert main(["data", "make", name, *given, *MADE[name]]) == 0
    _shrink(root / name)


def _shrink(made: Path) -> None:
    """Cuts a made set's images to their first corner, and has its manifest agree."""
    manifest = made / "manifest.json"
    held = json.loads(manifest.read_text(encoding="utf-8"))
    for image in held["images"]:
        for note, side in ((image["gt"], 4 * LQ_SIDE), *((part, LQ_SIDE) for part in image["parts"].values())):
            file = made / note["file"]
            with Image.open(file) as whole:
                corner = whole.crop((0, 0, side, side))
            corner.save(file)
            note |= {"bytes": file.stat().st_size, "sha256": file_sha256(file)}
    manifest.write_text(json.dumps(held), encoding="utf-8")


def cut_down(name: str, folder: Path) -> Path:
    """A copy of a shipped table that asks for miniatures: partial sets, made ones of few crops, few steps per image."""
    held = yaml.safe_load(find_config(f"tables/{name}.yaml").read_text(encoding="utf-8"))
    for test_set in held.get("test_sets", []):
        if "note" not in test_set:
            test_set.setdefault("arguments", {})["data.init_args.allow_partial"] = True
            if SETS[test_set["name"]].lq_size is not None:
                test_set["arguments"]["data.init_args.center_crop"] = LQ_SIDE
                test_set["name"] += f"-center{LQ_SIDE}"
        elif MADE[test_set["root"]]:
            test_set["name"] = test_set["name"].replace("@", f"_{IMAGES}crops@")
    changes: dict[str, dict[str, Any]] = {**FEW_STEPS, **CAPTIONED}
    for method in held["methods"]:
        changed = changes.get(method.get("name"), {})
        method["arguments"] = {**method.get("arguments", {}), **changed}
        if method.get("name") in CAPTIONED:
            method["trial"] = ["trials/cassr/random.yaml"]
    copy = folder / f"{name.replace('/', '_')}.yaml"
    copy.write_text(yaml.safe_dump(held, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return copy


def checkpoints(spec: TableSpec, folder: Path) -> dict[str, Path]:
    """Row -> a seeded random file in its authors' layout, for every row that spandrel serves but FeMaSR's."""
    found = {}
    for seed, method in enumerate(spec.methods):
        if not _is_spandrel(method) or method.weights == NO_NETWORK_HERE:
            continue
        key = load_stack(list(method.configs))["model"]["init_args"].get("weights_key")
        state = randomised(_NETWORKS.get(str(method.weights), _esrgan)(), seed).state_dict()
        found[method.name] = folder / f"{method.weights}.pth"
        torch.save(state if key is None else {key: state}, found[method.name])
    return found


def _is_spandrel(method: MethodSpec) -> bool:
    return method.weights is not None and any("/spandrel/" in config for config in method.configs)


def randomised(net: nn.Module, seed: int) -> nn.Module:
    """The network with small values drawn from a seed."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return net


def _esrgan() -> nn.Module:
    from spandrel.architectures.ESRGAN import ESRGAN

    return ESRGAN(num_filters=8, num_blocks=1, scale=4)


def _swinir() -> nn.Module:
    from spandrel.architectures.SwinIR import SwinIR

    shape: dict[str, Any] = {"img_size": 16, "embed_dim": 12, "depths": [1], "num_heads": [2], "window_size": 8}
    return SwinIR(**shape, mlp_ratio=2, upscale=4, upsampler="nearest+conv", resi_connection="1conv")


def _hat() -> nn.Module:
    from spandrel.architectures.HAT import HAT

    shape: dict[str, Any] = {"img_size": 16, "embed_dim": 12, "depths": [1], "num_heads": [2], "window_size": 16}
    shape |= {"compress_ratio": 3, "squeeze_factor": 6, "overlap_ratio": 0.5, "mlp_ratio": 2, "upscale": 4}
    return HAT(**shape, upsampler="pixelshuffle", resi_connection="1conv")


_NETWORKS: Mapping[str, Callable[[], nn.Module]] = {"swinir_l": _swinir, "swinir_m": _swinir, "hat": _hat}


# -------------------------------------------------------------------------------------------------------------- running


def build(name: str, data: Path, folder: Path) -> tuple[int, list[dict[str, str]]]:
    """``srbench table`` on miniatures, in ``folder``, which is the working folder: exit status and the CSV's rows."""
    if not (folder / "results").exists():
        shutil.copytree(Path(__file__).resolve().parents[2] / "results" / "published", folder / "results" / "published")
    (folder / "captions.csv").write_text("name,caption\n0801,a cat looks up\n")
    out = folder / "out"
    given = [f"{row}={path}" for row, path in checkpoints(load_table(name), folder).items()]
    weights = [part for pair in given for part in ("--weights", pair)]
    quiet = ["--", "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
    table = str(cut_down(name, folder))
    status = main(["table", table, "--data", str(data), "--out", str(out), "--trial", *weights, *quiet])
    return status, list(csv.DictReader((out / "table.csv").open(encoding="utf-8", newline="")))


def check(name: str, folder: Path, rows: list[dict[str, str]]) -> None:
    """Every number is there or says why not; every cell that could run did, trials are stamped."""
    spec = load_table(str(cut_down(name, folder)))
    assert rows
    for row in rows:
        assert row["measured"] or row["remark"], row
        assert row["status"] in ("recorded", "cannot run"), row
    kept = folder / "out" / "records"
    records = {(r.method, r.test_set): r for _, r in (find_records([kept]) if kept.is_dir() else ())}
    can = {
        (method.name, test_set.name): method
        for method in spec.methods
        for test_set in spec.test_sets
        if _can_run(method) and (method.name, test_set.name.removesuffix(f"-center{LQ_SIDE}")) not in WORDLESS
    }
    assert set(records) == set(can)
    for cell, method in can.items():
        assert records[cell].n == IMAGES
        assert method.trial or method.name in (*FEW_STEPS, "Bicubic") or _is_spandrel(method), "a row unheard of"
        assert ("random_backbones" in records[cell].marks) is bool(method.trial)


def _can_run(method: MethodSpec) -> bool:
    if not method.configs or any(config.startswith(COMMANDS) for config in method.configs):
        return False
    if method.weights is not None and not method.trial:
        return _is_spandrel(method) and method.weights != NO_NETWORK_HERE
    return not method.lacks or bool(method.trial)
