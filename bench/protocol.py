"""Protocol: how two images become comparable. A frozen, named, versioned value, shipped as YAML.

A published protocol is never edited, for its rows would no longer be comparable: ``published.json`` beside the YAML
files locks the hash of every one, and a correction is a new version under a new name.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from srbench import metrics
from srbench.catalog import room_folder
from srbench.errors import InputError
from srbench.naming import safe_name, unknown_name

_KEYS = ("name", "version", "image_crop", "metrics", "description", "source")
_METRIC_KEYS = ("metric", "crop_border")
_LARGEST = 2**20


@dataclass(frozen=True)
class MetricSpec:
    """A metric and how many gt pixels are cut off each side of both images before it sees them."""

    metric: str
    crop_border: int


@dataclass(frozen=True)
class Protocol:
    """What is done to sr and gt between the network and the table.

    Attributes:
        name: its id (``y219_crop4``), one path component.
        version: counts from 1.
        image_crop: ``full``, or ``center128`` for the middle 128x128 gt pixels; done before any border crop.
        metrics: in the order of the table's columns; the first ranks.
        description: one sentence for people.
        source: the papers or code that score so.
    """

    name: str
    version: int
    image_crop: str
    metrics: tuple[MetricSpec, ...]
    description: str = ""
    source: str = ""

    @property
    def id(self) -> str:
        """The name, which never means two different protocols."""
        return self.name

    @property
    def center(self) -> int | None:
        """Side of the centre crop in gt pixels; None for full images."""
        return None if self.image_crop == "full" else int(self.image_crop.removeprefix("center"))

    @property
    def sha256(self) -> str:
        """Hash over every value that changes numbers or ranks; name, version and texts do not enter."""
        values = {
            "rounding": "uint8",
            "image_crop": self.image_crop,
            "metrics": [[spec.metric, spec.crop_border] for spec in self.metrics],
        }
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def narrowed(protocol: Protocol, metric_names: Iterable[str]) -> Protocol:
    """The same images and crops with other metrics: those of the protocol keep their border crop, others have none.

    What comes out is a protocol of its own, named after the one it is made from and its metrics, so that its rows never
    stand among the other's. The same metrics in the same order give ``protocol`` itself.

    Args:
        protocol: where the crops come from.
        metric_names: ids; ``all`` alone stands for the protocol's and then every other metric there is.

    Raises:
        InputError: none is named, one is unknown or named twice, ``all`` does not stand alone, or what a derived one is
            made of is not among them.
    """
    wanted = list(metric_names)
    if not wanted or ("all" in wanted and len(wanted) > 1):
        what = "no metric is named" if not wanted else "'all' stands for every metric"
        raise InputError(what, where="--metrics", remedy="name some metrics, or `all` alone")
    if wanted == ["all"]:
        known = [spec.metric for spec in protocol.metrics]
        wanted = [*known, *sorted((n for n in metrics.names() if n not in known), key=_derived_last)]
    borders = {spec.metric: spec.crop_border for spec in protocol.metrics}
    specs = _checked(MetricSpec(metrics.find(name).name, borders.get(name, 0)) for name in wanted)
    made = replace(protocol, metrics=specs)
    if specs == protocol.metrics:
        return protocol
    return replace(
        made,
        name=f"{protocol.name}-{made.sha256[:8]}",
        description=f"{protocol.name} with the metrics {', '.join(wanted)}",
    )


def _derived_last(name: str) -> tuple[bool, str]:
    return metrics.find(name).kind == "derived", name


def load_protocol(name_or_path: str | Path) -> Protocol:
    """A shipped protocol by name, or anyone's by the path of its YAML file.

    Raises:
        InputError: no such name or file, an unknown key or metric (the nearest is suggested), a value of the wrong
            kind, or a file of your own that takes a shipped protocol's name for something else.
    """
    text = str(name_or_path)
    if not (text.endswith((".yaml", ".yml")) or "/" in text or "\\" in text):
        if text not in protocol_names():
            raise unknown_name("protocol", text, protocol_names())
        return _shipped(text)
    protocol = _parse(_read(Path(text)), text)
    if protocol.name in protocol_names() and protocol.sha256 != _shipped(protocol.name).sha256:
        raise InputError(
            f"'{protocol.name}' is the name of a shipped protocol that scores differently",
            where=text,
            remedy="give yours another name, or its rows would be taken for that one's",
        )
    return protocol


@functools.cache
def _names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in (room_folder("configs") / "protocols").glob("*.yaml")))


def protocol_names() -> list[str]:
    """Names of the shipped protocols, sorted."""
    return list(_names())


@functools.cache
def _shipped(name: str) -> Protocol:
    where = f"protocols/{name}.yaml"
    protocol = _parse(_read(room_folder("configs") / where), where)
    if protocol.name != name:
        raise InputError(f"the file calls itself '{protocol.name}'", where=where, remedy="rename one of them")
    return protocol


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise InputError("is too large for a protocol", where=path, remedy="give a YAML file of a few lines")
        return data.decode("utf-8")
    except OSError as error:
        remedy = f"check the path, or name a shipped one: {', '.join(protocol_names())}"
        raise InputError(f"cannot be read ({error.strerror})", where=path, remedy=remedy) from error
    except UnicodeDecodeError:
        raise InputError("is not UTF-8 text", where=path, remedy="give a YAML file") from None


def _parse(text: str, where: str) -> Protocol:
    import yaml

    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"not valid YAML ({reason})", where=where, remedy="compare with a shipped protocol") from None
    try:
        _known(data, _KEYS, "a protocol")
        return Protocol(
            name=_slug(data.get("name")),
            version=_count(data, "version", 1),
            image_crop=_image_crop(data.get("image_crop")),
            metrics=_specs(data.get("metrics")),
            description=_text(data, "description"),
            source=_text(data, "source"),
        )
    except InputError as error:
        raise InputError(error.what, where=where, remedy=error.remedy) from None


def _known(data: Any, keys: Iterable[str], what: str) -> None:
    if not isinstance(data, dict):
        raise InputError(f"{what} is a mapping with the keys {', '.join(keys)}")
    for key in data:
        if key not in keys:
            raise unknown_name("key", str(key), keys)


def _slug(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", value):
        raise InputError(f"'name' must be letters, digits, '_', '-' and '.', not {value!r}")
    return safe_name(value, kind="protocol name")


def _count(data: dict[str, Any], key: str, least: int) -> int:
    value = data.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 10_000:
        raise InputError(f"'{key}' must be a whole number from {least} to 10000, not {value!r}")
    return value


def _text(data: dict[str, Any], key: str) -> str:
    value = data.get(key, "")
    if not isinstance(value, str):
        raise InputError(f"'{key}' must be text, not {value!r}")
    return value


def _image_crop(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"full|center[1-9][0-9]{0,5}", value):
        raise InputError(f"'image_crop' must be 'full' or 'center' and a size in pixels, not {value!r}")
    return value


def _specs(value: Any) -> tuple[MetricSpec, ...]:
    if not isinstance(value, list) or not value:
        raise InputError("'metrics' must be a list of {metric, crop_border}, the first of which ranks")
    specs = []
    for entry in value:
        _known(entry, _METRIC_KEYS, "an entry of 'metrics'")
        name = metrics.find(str(entry.get("metric"))).name
        specs.append(MetricSpec(name, _count(entry, "crop_border", 0)))
    return _checked(specs)


def _checked(specs: Iterable[MetricSpec]) -> tuple[MetricSpec, ...]:
    """The specs, each metric once and a derived one after what it is made of."""
    listed: list[MetricSpec] = []
    for spec in specs:
        before = {earlier.metric for earlier in listed}
        if spec.metric in before:
            raise InputError(f"'{spec.metric}' is listed twice", remedy="make a second protocol for the other crop")
        lacking = [name for name in getattr(metrics.find(spec.metric), "inputs", ()) if name not in before]
        if lacking:
            raise InputError(f"'{spec.metric}' is made of {', '.join(lacking)}", remedy="list those before it")
        listed.append(spec)
    return tuple(listed)
