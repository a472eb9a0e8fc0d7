"""From a configuration to a module, without a trainer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jsonargparse

from srbench.errors import InputError
from srbench.module import SRModule


def build_model(config: Mapping[str, Any], arguments: Sequence[str] = ()) -> SRModule:
    """Builds the module that a configuration's ``model`` section describes; other sections are ignored.

    Args:
        config: a merged configuration, see :func:`srbench.catalog.load_stack`.
        arguments: ``--model...`` arguments, which win over it.

    Raises:
        InputError: there is no model, or its class or arguments do not fit.
    """
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(SRModule, "model", required=True)
    section = config.get("model")
    below = [f"--model={json.dumps(section)}"] if section is not None else []
    try:
        built = parser.instantiate_classes(parser.parse_args([*below, *arguments]))
    except (jsonargparse.ArgumentError, json.JSONDecodeError) as error:
        raise _readable(str(error)) from error
    model = built.model
    assert isinstance(model, SRModule)
    return model


def _readable(message: str) -> InputError:
    """One line out of jsonargparse's report, which repeats itself for every type that a value might have had."""
    text = " ".join(message.split())
    fault = re.search(r'Parser key "([\w.]+)": (Expected (?:(?!Parser key).)*?Got value: [^.]*?) (?:- |$)', text)
    if fault is not None:
        return InputError(fault[2], where=f"model.init_args.{fault[1]}", remedy="correct it")
    short = text if len(text) <= 400 else text[:397] + "..."
    return InputError(short, where="model", remedy="see srbench list methods for classes")
