"""From a configuration to a module, without a trainer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import jsonargparse

from srbench.arguments import with_deep_nulls
from srbench.module import SRModule
from srbench.rejection import refused


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
    config, arguments = with_deep_nulls(dict(config), arguments)
    section = config.get("model")
    below = [f"--model={json.dumps(section)}"] if section is not None else []
    try:
        built = parser.instantiate_classes(parser.parse_args([*below, *arguments]))
    except (jsonargparse.ArgumentError, ValueError, TypeError, RuntimeError) as error:
        raise refused(error, see="srbench list modules") from error
    model = built.model
    assert isinstance(model, SRModule)
    return model
