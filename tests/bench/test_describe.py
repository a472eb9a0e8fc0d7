import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from srbench.describe_command import run
from srbench.errors import InputError

Described = Callable[..., dict[str, Any]]


@pytest.fixture
def described(capsys: pytest.CaptureFixture[str]) -> Described:
    def call(*argv: str) -> dict[str, Any]:
        assert run([*argv, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return call


@pytest.mark.parametrize(
    ("argv", "params", "macs_g"),
    [
        (["--config", "methods/srresnet/test.yaml"], 1_517_571, 166.2),
        (["--config", "methods/edsr/test.yaml"], 1_517_571, 130.0),
        (["--config", "methods/edsr/fit.yaml", "--model.init_args.preset", "full"], 43_089_923, 3293.4),
        # DACESR's table prints 1176 for RRDB: 1174.9 without and 1175.9 with the biases that no other row counts.
        (["--config", "methods/rrdb/fit.yaml"], 16_697_987, 1174.9),
        (["--config", "methods/dvmsr/test.yaml"], 424_428, 26.5),
        (["--config", "methods/dvmsr/fit.yaml", "--model.init_args.preset=d180"], 3_651_159, 266.04),
        (["--config", "methods/dvmsr/fit.yaml", "--model.init_args.preset", "teacher"], 7_432_131, 509.5),
        (["--model", "Bicubic"], 0, 0.0),
    ],
)
def test_published_figures(described: Described, argv: list[str], params: int, macs_g: float) -> None:
    found = described(*argv, "--size", "256x256")
    assert found["macs_g"] == pytest.approx(macs_g, abs=0.06)
    assert found == {
        "params": params,
        "macs_g": found["macs_g"],
        "parts": {"net": {"params": params, "trainable": params}},
    }


def test_size_and_later_config_count(described: Described) -> None:
    small, large = described("--model", "EDSR", "--size", "10x20"), described("--model", "EDSR", "--size", "20x20")
    assert large["macs_g"] == pytest.approx(2 * small["macs_g"])
    both = ["--config", "methods/edsr/test.yaml", "--config", "methods/srresnet/test.yaml"]
    assert described(*both)["macs_g"] == pytest.approx(166.2, abs=0.06)


def test_no_weights_are_needed_or_read(described: Described) -> None:
    argv = ["--config", "methods/dvmsr/test.yaml", "--model.init_args.weights", "nowhere.pth"]
    assert described(*argv)["params"] == 424_428


def test_what_cannot_run_without_data_has_no_figure(described: Described) -> None:
    argv = ["--model", "ImageFolder", "--model.init_args.root", "x", "--model.init_args.name", "m"]
    assert described(*argv) == {"params": 0, "macs_g": None, "parts": {"net": {"params": 0, "trainable": 0}}}


def test_an_outside_checkpoint_is_described_from_its_file(described: Described, tmp_path: Path) -> None:
    import torch
    from spandrel.architectures.ESRGAN import ESRGAN

    net = ESRGAN(num_filters=8, num_blocks=1)
    torch.save(net.state_dict(), tmp_path / "x.pth")
    found = described("--config", "methods/spandrel/test.yaml", "--model.init_args.weights", str(tmp_path / "x.pth"))
    params = sum(p.numel() for p in net.parameters())
    assert found["parts"] == {"net": {"params": params, "trainable": 0}}
    assert found["macs_g"] > 0


def test_the_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    run(["--config", "methods/dvmsr/test.yaml", "--size", "64x64"])
    head, row = capsys.readouterr().out.rstrip().split("\n")
    assert head.split() == ["part", "parameters", "trainable", "frozen", "multiply-adds", "(64x64)"]
    assert row.split() == ["net", "424,428", "424,428", "0", "1.66", "G"]
    assert len(head) == len(row)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--model", "EDRS"], "unknown model class 'EDRS'; did you mean 'EDSR'"),
        (["--model", "EDSR", "--model.init_args.presett", "full"], "unknown key 'presett'; did you mean 'preset'"),
        (["--model", "EDSR", "--model.init_args.preset", "ful"], "preset: expected 'baseline' or 'full', got 'ful'"),
        (["--config", "methods/edrs/test.yaml"], "did you mean 'methods/edsr/test.yaml'"),
        (["--model", "EDSR", "--size", "256"], "'256' is no size"),
        (["--model", "EDSR", "--size", "0x4"], "'0x4' is no size"),
        (["--model", "EDSR", "--jsn"], "unknown argument '--jsn'; did you mean '--json'"),
        (["--config", "methods/spandrel/test.yaml"], "none is given; add --model.init_args.weights FILE"),
        ([], "model"),
    ],
)
def test_bad_input_is_one_line(argv: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        run(argv)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
