"""Keys and classes of a configuration, checked before anything is built: a misspelt one is told its neighbour."""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser
from lightning.pytorch import Trainer

from srbench.arguments import Invocation
from srbench.benchmark import Benchmark
from srbench.errors import InputError
from srbench.guards import Checkpoint
from srbench.naming import nearest, unknown_name

_PLAIN = frozenset(
    ("seed_everything", "ckpt_path", "weights_only", "verbose", "return_predictions", "config", "print_config", "help")
)
_SECTIONS: dict[str, type] = {"trainer": Trainer, "benchmark": Benchmark, "checkpoint": Checkpoint}
_ROOMS = ("model", "data")
_ENTRIES = ("class_path", "init_args", "dict_kwargs")


def check_keys(invocation: Invocation) -> None:
    """Refuses unknown keys and classes of the stack and of the command line, at every depth.

    Raises:
        InputError: it names the key or class and the nearest valid one.
    """
    for key, value in invocation.stack.items():
        _known(key, {*_PLAIN, *_SECTIONS, *_ROOMS}, key)
        if key in _SECTIONS and isinstance(value, Mapping):
            _check_arguments(_parameters(_SECTIONS[key]), value, key)
    classes = _given_classes(invocation)
    for room in _ROOMS:
        if room in classes:
            class_arguments(classes[room])  # one that cannot be imported is refused here, in our words
        value = invocation.stack.get(room)
        if isinstance(value, Mapping):
            _check_section(value, classes.get(room), room)
    for token in invocation.rest:
        if token.startswith("--"):
            _check_flag(token[2:].split("=", 1)[0], classes)
    _check_given(invocation.rest, classes)


def require(invocation: Invocation, rooms: Sequence[str] = _ROOMS) -> None:
    """Refuses a configuration without a class in one of ``rooms``.

    Raises:
        InputError: it says how to give one.
    """
    classes = _given_classes(invocation)
    for room in rooms:
        if room not in classes:
            what = "methods" if room == "model" else "datasets"
            example = "methods/edsr/fit.yaml" if room == "model" else "data/photos.yaml"
            raise InputError(
                f"no {room} class is given",
                where=room,
                remedy=f"add --{room} CLASS (srbench list {what}) or a config such as --config {example}",
            )


# ------------------------------------------------------------------------------------------------------------- stack


def _check_section(value: Mapping[str, Any], class_path: str | None, where: str) -> None:
    for inner in value:
        _known(inner, _ENTRIES, f"{where}.{inner}")
    arguments = value.get("init_args")
    own = value.get("class_path", class_path)  # the command line may have chosen another class than the config
    if isinstance(arguments, Mapping) and own is not None:
        _check_arguments(class_arguments(own), arguments, f"{where}.init_args")


def _check_arguments(known: Mapping[str, Any], given: Mapping[str, Any], where: str) -> None:
    for key, value in given.items():
        _known(key, known, f"{where}.{key}")
        for item in value if isinstance(value, list) else [value]:
            _check_value(known[key], item, f"{where}.{key}")


def _check_value(annotation: Any, value: Any, where: str) -> None:
    """Looks into a value that describes an object: a class, by name or as a mapping with ``class_path``."""
    bases = _bases(annotation)
    if not bases or not isinstance(value, (str, Mapping)):
        return
    name = value if isinstance(value, str) else value.get("class_path")
    if not isinstance(name, str):
        return
    found = _resolve(name, bases, where)
    if isinstance(value, Mapping) and inspect.isclass(found):
        path = f"{found.__module__}.{found.__qualname__}"
        _check_section({**value, "class_path": path}, path, where)


# ---------------------------------------------------------------------------------------------------------- arguments


def _check_flag(flag: str, classes: Mapping[str, str]) -> None:
    head, *path = flag.split(".")
    _known(head, {*_PLAIN, *_SECTIONS, *_ROOMS}, flag)
    if not path:
        return
    if head in _SECTIONS:
        known = _parameters(_SECTIONS[head])
        _known(path[0].rstrip("+"), known, flag)
        _check_nested(f"{head}.{path[0].rstrip('+')}", known[path[0].rstrip("+")], path[1:], flag, classes)
    else:
        _check_path(head, classes.get(head), path, flag, classes)


def _check_path(
    prefix: str, class_path: str | None, path: Sequence[str], flag: str, classes: Mapping[str, str]
) -> None:
    """Checks what follows the key of an object: ``init_args.lr``, ``lr``, ``class_path``."""
    if path[0] in ("class_path", "help"):
        return
    inner = path[1:] if path[0] in ("init_args", "dict_kwargs") else path
    if not inner or class_path is None or path[0] == "dict_kwargs":
        return
    known = class_arguments(class_path)
    key = inner[0].rstrip("+")
    _known(key, known if path[0] == "init_args" else {*known, *_ENTRIES}, flag)
    if key in known:
        _check_nested(f"{prefix}.{key}", known[key], inner[1:], flag, classes)


def _check_nested(prefix: str, annotation: Any, path: Sequence[str], flag: str, classes: Mapping[str, str]) -> None:
    bases = _bases(annotation)
    name = classes.get(prefix)
    if path and bases and name is not None:
        found = _resolve(name, bases, prefix)
        if inspect.isclass(found):
            _check_path(prefix, f"{found.__module__}.{found.__qualname__}", path, flag, classes)


def _check_given(rest: Sequence[str], classes: Mapping[str, str]) -> None:
    """Values of the command line that name or describe an object."""
    for flag, value in _pairs(rest):
        annotation = _annotation(flag, classes)
        if annotation is None or Path(value).is_file() or value.lower() in ("true", "false", "null"):
            continue
        held: Any = value
        if value[:1] in ("{", "["):
            try:
                held = yaml.safe_load(value)
            except yaml.YAMLError as error:
                raise InputError(f"'{value}' is not valid YAML", where=flag, remedy="check its brackets") from error
        for item in held if isinstance(held, list) else [held]:
            _check_value(annotation, item, flag)


def _annotation(flag: str, classes: Mapping[str, str]) -> Any:
    """The type of the key that a flag sets, when the classes on the way to it are known."""
    *path, last = _plain_path(flag)
    if not path:
        return None
    owner = _SECTIONS.get(path[0]) if len(path) == 1 else None
    if owner is not None:
        return _parameters(owner).get(last)
    class_path = classes.get(".".join(path))
    if class_path is None:
        return None
    if "." not in class_path:
        outer = _annotation(".".join(path), classes)
        found = _resolve(class_path, _bases(outer), flag) if outer is not None else None
        return class_arguments(f"{found.__module__}.{found.__qualname__}").get(last) if inspect.isclass(found) else None
    return class_arguments(class_path).get(last)


def _given_classes(invocation: Invocation) -> dict[str, str]:
    """Dotted key (without ``init_args``) -> the class that stands there; the command line over the stack."""
    found: dict[str, str] = {}

    def walk(value: Any, key: str) -> None:
        if isinstance(value, Mapping):
            if isinstance(value.get("class_path"), str):
                found[key] = value["class_path"]
            for inner, held in value.items():
                walk(held, key if inner == "init_args" else f"{key}.{inner}")

    for section, value in invocation.stack.items():
        walk(value, section)
    for flag, value in _pairs(invocation.rest):
        key = ".".join(_plain_path(flag))
        if value[:1] == "{":
            try:
                walk(yaml.safe_load(value), key)
            except yaml.YAMLError:
                continue  # reported where values are checked
        else:
            found[key] = value
    return found


def _plain_path(flag: str) -> list[str]:
    parts = [part.rstrip("+") for part in flag.split(".") if part != "init_args"]
    return parts[:-1] if parts[-1] == "class_path" else parts


def _pairs(rest: Sequence[str]) -> list[tuple[str, str]]:
    """Flags with their values, in order; flags without a value are left out."""
    pairs = []
    for token, after in zip(rest, [*rest, "--"][1:], strict=True):
        if token.startswith("--") and "=" in token:
            flag, _, value = token[2:].partition("=")
            pairs.append((flag, value))
        elif token.startswith("--") and not after.startswith("--"):
            pairs.append((token[2:], after))
    return pairs


# ------------------------------------------------------------------------------------------------------------ classes


@cache
def class_arguments(class_path: str) -> Mapping[str, Any]:
    """Everything that a class and its parents take in ``__init__``, with its type.

    Raises:
        InputError: it cannot be imported, or is no class.
    """
    found = _imported(class_path, class_path)
    if not inspect.isclass(found):
        raise InputError("it is no class", where=class_path, remedy="see srbench list modules and list datasets")
    parser = ArgumentParser(exit_on_error=False)
    try:
        added = parser.add_class_arguments(found, as_group=False, fail_untyped=False)
    except ValueError as error:  # two arguments of one name, a signature nobody can read
        raise InputError(str(error), where=class_path, remedy="mend its __init__") from error
    types = {action.dest: getattr(action, "_typehint", None) for action in parser._actions}
    return {name.split(".")[0]: types.get(name) for name in added}


@cache
def _parameters(of: type) -> Mapping[str, Any]:
    hints = typing.get_type_hints(vars(of)["__init__"])
    return {name: hints.get(name) for name in inspect.signature(of).parameters}


def _bases(annotation: Any) -> tuple[type, ...]:
    """Classes whose objects an argument takes, or whose factories; none where any string would do."""
    if annotation is str or annotation is Path:
        return ()
    if inspect.isclass(annotation) and not typing.get_args(annotation):
        named = annotation.__module__.startswith(("torch.optim", "torch.nn", "lightning.", "srbench."))
        return (annotation,) if named else ()
    inner = typing.get_args(annotation)
    if typing.get_origin(annotation) in (Mapping, dict):
        return ()
    if inspect.isclass(typing.get_origin(annotation)) and len(inner) == 2 and isinstance(inner[0], (list, tuple)):
        inner = inner[1:]  # a callable: what it returns
    if str in inner:
        return ()
    return tuple(base for part in inner for base in _bases(part))


def _resolve(name: str, bases: tuple[type, ...], where: str) -> Any:
    if "." in name:
        return _imported(name, where)
    known: dict[str, type] = {}
    for base in bases:
        _subclasses(base, known)
    if name not in known:
        raise unknown_name("class", name, known, where=where)
    return known[name]


def _subclasses(base: type, known: dict[str, type]) -> None:
    if not base.__name__.startswith("_"):
        known.setdefault(base.__name__, base)
    children: list[type] = type.__subclasses__(base)
    for child in children:
        _subclasses(child, known)


def _imported(path: str, where: str) -> Any:
    """What an import path names.

    Raises:
        InputError: there is no such module, or nothing of that name in it; it suggests the nearest.
    """
    module, _, name = path.rpartition(".")
    try:
        held = importlib.import_module(module)
    except (ImportError, ValueError) as error:
        raise InputError(
            f"the class cannot be imported ({error})",
            where=path,
            remedy="check its path, or put your class' folder on the PYTHONPATH; see srbench list modules",
        ) from error
    if hasattr(held, name):
        return getattr(held, name)
    hint = nearest(name, [n for n in dir(held) if not n.startswith("_") and callable(getattr(held, n))])
    raise InputError(
        f"{module} has no '{name}'",
        where=where,
        remedy=f"did you mean '{module}.{hint}'?" if hint else "check its path",
    )


def _known(key: Any, valid: Iterable[str], where: str) -> None:
    valid = list(valid)
    if key in valid:
        return
    hint = nearest(str(key), valid)
    remedy = f"did you mean '{hint}'?" if hint else f"valid: {', '.join(sorted(valid)[:40])}"
    raise InputError(f"unknown key '{key}'", where=where, remedy=remedy)
