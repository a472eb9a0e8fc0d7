"""The selective scan: our three implementations against the step-by-step reference."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from srbench.modules.nets import _scan_torch
from srbench.modules.nets import selective_scan as module
from srbench.modules.nets.selective_scan import backend, selective_scan

from .selective_scan_reference import selective_scan_reference

NAMES = ("u", "delta", "A", "B", "C", "D", "z", "delta_bias")


def make(
    batch: int, channels: int, states: int, length: int, forms: str = "3 3",
    dtype: torch.dtype = torch.float32, groups: int = 2, seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Inputs of a stable scan with memory from a few steps to thousands; ``forms`` of B and C: 3, 4 or const."""
    b, c = forms.split()
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype)

    shapes = {"3": (batch, states, length), "4": (batch, groups, states, length), "const": (channels, states)}
    return {
        "u": normal(batch, channels, length),
        "delta": normal(batch, channels, length) - 3,
        "A": -torch.arange(1, states + 1, dtype=dtype).repeat(channels, 1) * torch.exp(normal(channels, states) / 4),
        "B": normal(*shapes[b]),
        "C": normal(*shapes[c]),
        "D": normal(channels),
        "z": normal(batch, channels, length),
        "delta_bias": normal(channels) / 4,
    }


def torch_scan(delta_softplus: bool = False, **inputs: Tensor) -> Tensor:
    """The path of devices without a kernel, on the CPU."""
    named: list[Any] = [inputs.get(name) for name in NAMES]
    arguments: list[Any] = [*module._canonical(*named), delta_softplus]
    return _scan_torch.scan(*arguments)


def distance(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


@pytest.mark.parametrize("scan", [selective_scan, torch_scan])
@pytest.mark.parametrize("forms", ["3 3", "4 4", "3 4", "4 const", "const 3", "const const"])
@pytest.mark.parametrize("length", [1, 15, 64, 150])
def test_equals_the_reference(scan: Any, forms: str, length: int) -> None:
    inputs = make(2, 42, 5, length, forms)
    ours = scan(**inputs, delta_softplus=True)
    theirs = selective_scan_reference(**inputs, delta_softplus=True)
    assert ours.shape == theirs.shape
    assert distance(ours, theirs) < 2e-6


@pytest.mark.parametrize("scan", [selective_scan, torch_scan])
@pytest.mark.parametrize("left_out", [("D",), ("z",), ("delta_bias",), ("D", "z", "delta_bias")])
@pytest.mark.parametrize("soft", [False, True])
def test_optional_arguments(scan: Any, left_out: tuple[str, ...], soft: bool) -> None:
    inputs = make(1, 17, 16, 100)
    if not soft:
        inputs["delta"] = inputs["delta"].exp()
        inputs["delta_bias"] = inputs["delta_bias"].abs()
    inputs = {name: value for name, value in inputs.items() if name not in left_out}
    ours = scan(**inputs, delta_softplus=soft)
    assert distance(ours, selective_scan_reference(**inputs, delta_softplus=soft)) < 2e-6


def test_long_memory_does_not_drift() -> None:
    # Decays near 1 - 3e-4: an error in the exponential repeats three thousand times, so it must have no bias near 0
    # (1e-7, good enough elsewhere, would show as 3e-4 here).
    inputs = make(1, 16, 4, 10_000)
    inputs["delta"] = 1e-4 + 4e-4 * torch.rand(1, 16, 10_000, generator=torch.Generator().manual_seed(1))
    inputs["A"] = torch.full_like(inputs["A"], -1.0)
    inputs = {name: inputs[name].abs() if name in "uBC" else inputs[name] for name in ("u", "delta", "A", "B", "C")}
    exact = selective_scan(**{name: value.double() for name, value in inputs.items()})
    assert distance(selective_scan(**inputs).double(), exact) < 1e-5


def test_extreme_step_lengths() -> None:
    inputs = make(1, 16, 4, 70)
    inputs["delta"][:, ::2] = 60.0  # decay below the smallest float
    inputs["delta"][:, 1::2] = -60.0  # no step at all
    ours = selective_scan(**inputs, delta_softplus=True)
    assert torch.isfinite(ours).all()
    assert distance(ours, selective_scan_reference(**inputs, delta_softplus=True)) < 2e-6


def test_nan_is_not_swallowed() -> None:
    for name in ("u", "delta", "A", "B", "C", "z"):
        inputs = make(1, 16, 4, 20)
        inputs[name].view(-1)[0] = float("nan")
        assert torch.isnan(selective_scan(**inputs, delta_softplus=True)).any(), name


@pytest.mark.parametrize("scan", [selective_scan, torch_scan])
@pytest.mark.parametrize("forms", ["3 3", "4 const", "const const"])
@pytest.mark.parametrize("soft", [False, True])
def test_gradients_in_float64(scan: Any, forms: str, soft: bool) -> None:
    # 67 steps cross a chunk's end; 4 channels in 2 groups.
    length = 67 if scan is selective_scan else 5
    inputs = make(1, 4, 2, length, forms, dtype=torch.float64)
    if not soft:  # positive step lengths
        inputs["delta"] = inputs["delta"].exp()
        inputs["delta_bias"] = inputs["delta_bias"].abs()
    values = tuple(inputs[name].requires_grad_() for name in NAMES)

    def function(*arguments: Tensor) -> Tensor:
        return scan(**dict(zip(NAMES, arguments, strict=True)), delta_softplus=soft)

    assert torch.autograd.gradcheck(function, values, atol=1e-6)


def gradients(scan: Any, inputs: dict[str, Any]) -> list[Tensor]:
    values = {name: value.detach().requires_grad_() for name, value in inputs.items()}
    out = scan(**values, delta_softplus=True)
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(9))
    return list(torch.autograd.grad(out, list(values.values()), weight.to(out.dtype)))


@pytest.mark.parametrize("scan", [selective_scan, torch_scan])
@pytest.mark.parametrize("forms", ["3 3", "4 4"])
def test_float32_gradients_equal_the_reference(scan: Any, forms: str) -> None:
    inputs = make(2, 72, 16, 200, forms)
    exact = gradients(selective_scan_reference, {name: value.double() for name, value in inputs.items()})
    for name, ours, theirs in zip(NAMES, gradients(scan, inputs), exact, strict=True):
        assert distance(ours.double(), theirs) < 1e-5, name


def test_only_the_gradients_asked_for() -> None:
    inputs = make(1, 4, 2, 10)
    inputs["A"].requires_grad_()
    selective_scan(**inputs, delta_softplus=True).sum().backward()
    assert inputs["A"].grad is not None
    assert all(value.grad is None for name, value in inputs.items() if name != "A")


def channels_last(inputs: dict[str, Any]) -> dict[str, Any]:
    def turned(value: Tensor) -> Tensor:
        # A slice of a wider tensor, as a projection's output is split.
        wide = torch.cat([value.transpose(1, 2), value.transpose(1, 2)], -1)
        return wide[..., : value.shape[1]].transpose(1, 2)

    return {name: turned(value) if value.dim() == 3 else value for name, value in inputs.items()}


def every_second(inputs: dict[str, Any]) -> dict[str, Any]:
    return {name: value.repeat_interleave(2, -1)[..., ::2] for name, value in inputs.items()}


def broadcast(inputs: dict[str, Any]) -> dict[str, Any]:
    inputs["delta"] = inputs["delta"][..., :1].expand_as(inputs["delta"])
    inputs["A"] = inputs["A"][:1].expand_as(inputs["A"])
    return inputs


@pytest.mark.parametrize("layout", [channels_last, every_second, broadcast])
def test_any_strides(layout: Any) -> None:
    inputs = layout(make(2, 24, 16, 90))
    dense = {name: value.contiguous() for name, value in inputs.items()}
    assert torch.equal(selective_scan(**inputs, delta_softplus=True), selective_scan(**dense, delta_softplus=True))
    for name, ours, theirs in zip(
        NAMES, gradients(selective_scan, inputs), gradients(selective_scan, dense), strict=True
    ):
        assert torch.equal(ours, theirs), name


def test_output_keeps_channels_side_by_side() -> None:
    inputs = make(1, 8, 2, 12)
    assert selective_scan(**inputs).stride() == (96, 12, 1)
    assert selective_scan(**channels_last(inputs)).stride() == (96, 1, 8)


def test_independent_of_threads() -> None:
    inputs = make(1, 120, 16, 300)
    results = []
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        results.append([selective_scan(**inputs, delta_softplus=True), *gradients(selective_scan, inputs)])
    for other in results[1:]:
        assert all(torch.equal(one, two) for one, two in zip(results[0], other, strict=True))


def _child(queue: Any, inputs: dict[str, Any]) -> None:
    torch.set_num_threads(2)
    queue.put(selective_scan(**inputs, delta_softplus=True).double().sum().item())


@pytest.mark.skipif(sys.platform != "linux", reason="fork is safe on Linux only")
def test_after_a_fork() -> None:
    inputs = make(1, 64, 4, 40)
    torch.set_num_threads(2)
    expected = selective_scan(**inputs, delta_softplus=True).double().sum().item()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_child, args=(queue, inputs), daemon=True)
    child.start()
    try:
        assert queue.get(timeout=60) == expected
    finally:
        child.join(10)
        child.kill()


def test_an_error_in_a_thread_is_raised() -> None:
    from srbench.modules.nets._threads import run_parallel

    def kernel(task: int) -> None:
        if task == 3:
            raise ArithmeticError("three")

    for threads in (1, 2):
        torch.set_num_threads(threads)
        with pytest.raises(ArithmeticError, match="three"):
            run_parallel(kernel, 8)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    inputs = {name: value.to(dtype) for name, value in make(1, 16, 4, 80).items()}
    out = selective_scan(**inputs, delta_softplus=True)
    exact = selective_scan(**{name: value.float() for name, value in inputs.items()}, delta_softplus=True)
    assert out.dtype == dtype
    assert torch.equal(out, exact.to(dtype))
    assert [grad.dtype for grad in gradients(selective_scan, inputs)] == [dtype] * len(NAMES)


@pytest.mark.parametrize("scan", [selective_scan])
def test_modes(scan: Any) -> None:
    inputs = make(1, 16, 4, 80)
    plain = scan(**inputs, delta_softplus=True)
    for value in inputs.values():
        value.requires_grad_()
    with torch.no_grad():
        silent = scan(**inputs, delta_softplus=True)
    with torch.inference_mode():
        inferred = scan(**inputs, delta_softplus=True)
    with torch.autocast("cpu", torch.bfloat16):
        cast = scan(**inputs, delta_softplus=True)
    assert not silent.requires_grad
    assert cast.requires_grad
    assert all(torch.equal(plain, other) for other in (silent, inferred, cast))


def test_meta_tensors_and_empty_batches() -> None:
    inputs = make(2, 6, 4, 10)
    on_meta = selective_scan(**{name: value.to("meta", torch.float16) for name, value in inputs.items()})
    assert (on_meta.shape, on_meta.dtype, on_meta.is_meta) == ((2, 6, 10), torch.float16, True)
    nothing = {name: value[:0] if value.dim() == 3 else value for name, value in inputs.items()}
    assert selective_scan(**nothing).shape == (0, 6, 10)


def test_torch_path_in_several_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_scan_torch, "_BUDGET", 1)  # the shortest chunks, 32 steps
    inputs = make(2, 6, 4, 101, "4 3")
    exact = gradients(selective_scan_reference, {name: value.double() for name, value in inputs.items()})
    ours = torch_scan(**inputs, delta_softplus=True)
    assert distance(ours, selective_scan_reference(**inputs, delta_softplus=True)) < 2e-6
    for name, ours, theirs in zip(NAMES, gradients(torch_scan, inputs), exact, strict=True):
        assert distance(ours.double(), theirs) < 1e-5, name


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("u", (2, 6), r"u must have shape \(batch, channels, L\)"),
        ("A", (5, 4), r"A must have shape \(channels, N\) = \(6, N\)"),
        ("delta", (2, 6, 9), r"delta must have shape \(batch, channels, L\) = \(2, 6, 10\)"),
        ("z", (1, 6, 10), r"z must have shape .* = \(2, 6, 10\), not \(1, 6, 10\)"),
        ("B", (2, 10, 4), r"B must have shape \(batch, N, L\) = \(2, 4, 10\) or"),
        ("C", (2, 3, 5, 10), r"C must have shape .* \(batch, groups, N, L\) = \(2, 3, 4, 10\)"),
        ("C", (2, 4, 4, 10), r"the 4 groups of C must divide the 6 channels"),
        ("B", (4, 6), r"B must have shape .* \(channels, N\) = \(6, 4\)"),
        ("D", (4,), r"D must have shape \(channels,\) = \(6,\)"),
        ("delta_bias", (6, 1), r"delta_bias must have shape"),
    ],
)
def test_bad_shapes_are_named(name: str, shape: tuple[int, ...], expected: str) -> None:
    inputs = make(2, 6, 4, 10)
    inputs[name] = torch.zeros(shape)
    with pytest.raises(ValueError, match=expected):
        selective_scan(**inputs)


def test_other_bad_arguments_are_named() -> None:
    inputs = make(2, 6, 4, 10)
    with pytest.raises(ValueError, match=r"A must be real floating point, not torch\.complex64"):
        selective_scan(**{**inputs, "A": inputs["A"].to(torch.complex64)})
    with pytest.raises(ValueError, match="C must be on cpu like u, not on meta"):
        selective_scan(**{**inputs, "C": inputs["C"].to("meta")})
    with pytest.raises(ValueError, match=r"same number of groups, not \[2, 3\]"):
        selective_scan(**{**inputs, "B": torch.zeros(2, 2, 4, 10), "C": torch.zeros(2, 3, 4, 10)})


def test_who_serves_which_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    def on(device: str, dtype: torch.dtype = torch.float32) -> Any:
        return SimpleNamespace(is_meta=False, device=torch.device(device), dtype=dtype)

    monkeypatch.setattr(module, "_mamba", lambda: None)
    assert [backend(on(device)) for device in ("cpu", "cuda", "mps")] == ["numba", "torch", "torch"]
    monkeypatch.setattr(module, "_mamba", lambda: print)
    assert [backend(on(device)) for device in ("cpu", "cuda", "mps")] == ["numba", "mamba_ssm", "torch"]
    assert backend(on("cuda", torch.float64)) == "torch"
    assert backend(torch.empty(1, device="meta")) == "meta"


def test_mamba_ssm_gets_the_dtypes_it_insists_on(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def fake(*arguments: Any, delta_softplus: bool) -> Tensor:
        calls.append(([None if value is None else value.dtype for value in arguments], delta_softplus))
        return arguments[0]

    monkeypatch.setattr(module, "_mamba", lambda: fake)
    monkeypatch.setattr(module, "backend", lambda tensor: "mamba_ssm")
    inputs = make(1, 4, 2, 8, "3 const")
    selective_scan(**{**inputs, "u": inputs["u"].bfloat16(), "z": None}, delta_softplus=True)
    half, single = torch.bfloat16, torch.float32
    assert calls == [([half, half, single, half, single, single, None, single], True)]


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_leaves_numba_alone() -> None:
    assert run_python(
        "import sys, srbench.modules.nets.selective_scan, srbench.modules.nets.causal_conv1d;"
        "print('numba' in sys.modules)"
    ) == "False\n"  # fmt: skip


def test_works_where_machine_code_cannot_be_kept() -> None:
    assert run_python(
        "from numba.core.caching import CacheImpl\n"
        "CacheImpl._locator_classes = []\n"  # as if every place were read-only
        "import torch\n"
        "from srbench.modules.nets.selective_scan import selective_scan\n"
        "u = torch.ones(1, 2, 3)\n"
        "print(selective_scan(u, u, torch.zeros(2, 1), u[:, :1], u[:, :1])[0, 0].tolist())"
    ) == "[1.0, 2.0, 3.0]\n"  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_memory_is_linear_in_length() -> None:
    # (B, D, L, N) in float32 would take 256 MiB here; the tensors that must exist, (B, D, L), take 4 MiB each.
    grown = run_python(
        "import torch\n"
        "from srbench.modules.nets.selective_scan import selective_scan\n"
        "torch.set_num_threads(1)\n"
        "def peak():\n"
        "    return int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n"
        "def go(length):\n"
        "    u, delta, z = (torch.randn(1, 64, length, requires_grad=True) for _ in range(3))\n"
        "    b, c = (torch.randn(1, 64, length, requires_grad=True) for _ in range(2))\n"
        "    a = -torch.rand(64, 64, requires_grad=True)\n"
        "    selective_scan(u, delta, a, b, c, z=z, delta_softplus=True).sum().backward()\n"
        "go(64)\n"
        "before = peak()\n"
        "go(16384)\n"
        "print((peak() - before) // 1024)\n"
    )
    assert int(grown) < 128
