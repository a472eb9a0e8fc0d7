"""Outside weights: read safely, unwrapped, checked and loaded strictly."""

from __future__ import annotations

import hashlib
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from srbench.errors import InputError

WRAPPERS = ("params_ema", "params", "state_dict", "model_state_dict", "model", "net", "generator")
"""Keys under which published files keep their tensors, the one to prefer first (BasicSR: ``params_ema``)."""

MARKS_KEY = "marks"
"""Entry of our checkpoints: why rows of these weights may not be ranked."""

_PREFIXES = ("module.", "net.", "netG.", "generator.", "discriminator.")


def state_sha256(module: nn.Module) -> str:
    """sha256 over names, types, shapes and values of a module's state, hexadecimal."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        held = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {held.dtype} {tuple(held.shape)}\n".encode())
        digest.update(held.view(torch.uint8).numpy() if held.dim() else held.reshape(1).view(torch.uint8).numpy())
    return digest.hexdigest()


def read_checkpoint(path: str | Path) -> Any:
    """What a checkpoint file holds, without ever executing code from it.

    Args:
        path: ``.safetensors``, or anything ``torch.save`` wrote.

    Raises:
        InputError: the file is missing, no checkpoint, or a pickle that asks for anything but tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("there is no such file", where=path, remedy="give the path of a checkpoint")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Detected pickle protocol")  # refused or read, either way said
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            "it is damaged, or a pickle that holds more than tensors; nothing in it was executed",
            where=path,
            remedy="re-save its tensors alone: torch.save({'params': state_dict}, ...) or safetensors",
        ) from error
    except PermissionError as error:
        raise _unreadable(path, error) from error
    except Exception as error:  # zip, safetensors and legacy formats each raise their own
        raise InputError(
            f"it is not a readable checkpoint ({type(error).__name__})", where=path, remedy="fetch or copy it again"
        ) from error


def checkpoint_marks(path: str | Path) -> tuple[str, ...]:
    """Why rows of these weights may not be ranked; published files say nothing of that.

    Raises:
        InputError: see :func:`read_checkpoint`.
    """
    held = read_checkpoint(path)
    ours = isinstance(held, Mapping) and "pytorch-lightning_version" in held
    return tuple(str(mark) for mark in held.get(MARKS_KEY, ())) if ours else ()


def load_state(path: str | Path, *, key: str | None = None, part: str = "net") -> dict[str, Tensor]:
    """The tensors of a checkpoint by name, from the wrapper the authors put around them.

    Args:
        path: the file.
        part: the network to take from a checkpoint of ours that holds several (a generator and its discriminator).
        key: the entry to take (``params``, ``params_ema``, ...); None prefers ``params_ema`` and otherwise takes the
            only one there is. A prefix that every name shares (``module.``, Lightning's ``net.``) is taken off.

    Raises:
        InputError: see :func:`read_checkpoint`; ``key`` is not in the file; it holds no tensors, or NaN or infinity.
    """
    held = read_checkpoint(path)
    state = _without_prefix(_part(_unwrap(held, key, path), part, held))
    check_finite(state, where=path)
    return state


def check_finite(state: Mapping[str, Tensor], *, where: str | Path) -> None:
    """Refuses NaN and infinity.

    Raises:
        InputError: it counts the tensors that hold them and names the first.
    """
    broken = [name for name, t in state.items() if t.is_floating_point() and not bool(torch.isfinite(t).all())]
    if broken:
        raise InputError(
            f"{len(broken)} of {len(state)} tensors hold NaN or infinity, the first is {broken[0]}",
            where=where,
            remedy="this checkpoint comes from a diverged run or is damaged; take an earlier one",
        )


def load_strict(module: nn.Module, state: Mapping[str, Tensor], *, where: str | Path) -> None:
    """Loads ``state`` into ``module``; a key that fits nothing, is missing or has another shape is an error.

    Raises:
        InputError: see :func:`check_fit`.
    """
    check_fit(module, state, where=where)
    module.load_state_dict(dict(state), assign=any(t.is_meta for t in module.state_dict().values()))


def check_fit(module: nn.Module, state: Mapping[str, Tensor], *, where: str | Path) -> None:
    """Refuses ``state`` when it is not exactly what ``module`` holds.

    Raises:
        InputError: one line that counts the misfits and shows the first of each kind.
    """
    own = module.state_dict()
    missing = [k for k in own if k not in state]
    unexpected = [k for k in state if k not in own]
    shapes = [k for k in own if k in state and own[k].shape != state[k].shape]
    if missing or unexpected or shapes:
        faults = []
        if missing:
            faults.append(f"{len(missing)} keys missing (first {missing[0]})")
        if unexpected:
            faults.append(f"{len(unexpected)} unknown (first {unexpected[0]})")
        if shapes:
            k = shapes[0]
            faults.append(f"{len(shapes)} of another shape ({k}: file {_size(state[k])}, network {_size(own[k])})")
        raise InputError(
            f"it is the checkpoint of another network than {type(module).__name__}: " + ", ".join(faults),
            where=where,
            remedy="choose the method, preset and scale it was trained with",
        )


def _size(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _is_state(value: object) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(v, Tensor) for v in value.values())


def _unwrap(held: Any, key: str | None, path: str | Path) -> Mapping[str, Tensor]:
    if key is not None:
        if isinstance(held, Mapping) and _is_state(held.get(key)):
            return held[key]
        found = sorted(k for k, v in held.items() if _is_state(v)) if isinstance(held, Mapping) else []
        raise InputError(
            f"it has no entry {key!r} with tensors", where=path, remedy=f"entries with tensors: {found or 'none'}"
        )
    if _is_state(held):
        return held
    if isinstance(held, Mapping):
        for wrapper in WRAPPERS:
            if _is_state(held.get(wrapper)):
                return held[wrapper]
        inner = [k for k, v in held.items() if _is_state(v)]
        if len(inner) == 1:
            return held[inner[0]]
    raise InputError("no tensors by name were found in it", where=path, remedy="give a state dict, plain or wrapped")


def _part(state: Mapping[str, Tensor], part: str, held: Any) -> Mapping[str, Tensor]:
    """One network of a training run's checkpoint; the state of any other file passes unchanged."""
    if "pytorch-lightning_version" not in held:
        return state
    return {k: v for k, v in state.items() if k.startswith(f"{part}.")} or state


def _without_prefix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    for prefix in _PREFIXES:
        if state and all(k.startswith(prefix) for k in state):
            return _without_prefix({k.removeprefix(prefix): v for k, v in state.items()})
    return dict(state)


def _unreadable(path: str | Path, error: OSError) -> InputError:
    return InputError(f"cannot be read ({error.strerror})", where=path, remedy="check the path and its permissions")
