"""What is known of every method of the papers' tables: its paper, licence, size, and how srbench runs it.

A method is one YAML file in ``configs/cards``, found by being there. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from srbench import weight_files
from srbench.catalog import config_names, find_config, read_config
from srbench.errors import InputError
from srbench.naming import unknown_name

Route = Literal["native", "library", "command", "folder"]
"""Whose code restores: srbench's own, a library's, the authors' in an environment of its own, or nobody's here."""

_TEXTS = ("title", "paper", "link", "licence", "note")


@dataclass(frozen=True, kw_only=True)
class Card:
    """A method.

    Attributes:
        name: as srbench writes it.
        title: of its paper.
        paper: first author, venue and year.
        link: to the paper or its code.
        licence: of the code and weights, in words.
        noncommercial: the licence forbids commercial use.
        route: see :data:`Route`.
        configs: the first one tests it.
        params_m: 10^6 parameters of the network that makes sr; None where there is none, or they are not known.
        weights: names in the catalogue of outside weights.
        untrained: it learns from the image that it restores, so that there are no weights to have.
        printed: paper -> the method's names in that paper's tables.
        note: what else one should know.
    """

    name: str
    title: str
    paper: str
    link: str
    licence: str
    noncommercial: bool = False
    route: Route
    configs: tuple[str, ...] = ()
    params_m: float | None = None
    weights: tuple[str, ...] = ()
    untrained: bool = False
    printed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    note: str = ""

    @property
    def state(self) -> str:
        """Whether its weights are here: ``none needed``, ``here``, ``missing: NAME``, ``none published``, elsewhere."""
        if self.route == "command":
            return "with the authors' program"
        if not self.weights:
            return "none published" if self.params_m and not self.untrained else "none needed"
        absent = [name for name in self.weights if weight_files.locate(name) is None]
        return f"missing: {', '.join(absent)}" if absent else "here"


def cards() -> list[Card]:
    """Every method, by name.

    Raises:
        InputError: a file has an unknown or missing key, or a wrong value; it is named.
    """
    return sorted((_card(path) for path in config_names("cards")), key=lambda card: card.name.lower())


def _card(path: str) -> Card:
    held = read_config(path)
    try:
        return _parsed(held)
    except InputError as error:
        raise InputError(
            error.what, where=path, remedy=error.remedy or "compare with another of configs/cards"
        ) from None


def _parsed(held: Mapping[str, Any]) -> Card:
    known = Card.__dataclass_fields__
    for key in held:
        if key not in known:
            raise unknown_name("key of a card", str(key), known)
    for key in ("name", "title", "paper", "link", "licence", "route"):
        if not isinstance(held.get(key), str) or not held[key]:
            raise InputError(f"'{key}' must be text")
    if held["route"] not in get_args(Route):
        raise unknown_name("route", held["route"], get_args(Route))
    for name in held.get("configs") or ():
        find_config(str(name))
    plain = (*_TEXTS, "name", "route", "noncommercial", "params_m", "untrained")
    values = {key: held[key] for key in plain if key in held}
    printed = {str(paper): tuple(map(str, names)) for paper, names in (held.get("printed") or {}).items()}
    weights = tuple(weight_files.find(str(name)).name for name in held.get("weights") or ())
    return Card(**values, configs=tuple(held.get("configs") or ()), weights=weights, printed=printed)
