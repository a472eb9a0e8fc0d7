"""One line out of what jsonargparse and Lightning say when they refuse a configuration."""

from __future__ import annotations

import re

from srbench.errors import InputError

_LEAVES = (
    (r"the following arguments are required: ([\w., ]+?)(?= - |$| Given)", "it needs {0}"),
    (r"Option '([^']*)' is not accepted", "unknown key '{0}'"),
    (r"Expected '([^']*)' to be a subclass of <class '(\w+)'>", "{0} is no {1}"),
    (r"Expected '([^']*)' to be a function that returns <class '(\w+)'>", "{0} makes no {1}"),
    (r"Import path does not correspond to a subclass of (\w+)", "it is no {0}"),
    (r"Expected an instantiatable class, but is abstract", "it is an abstract class"),
    (r"argument (\S+): expected one argument", "{0} needs a value"),
    (r"[Uu]nrecognized arguments: (\S+)", "unknown argument '{0}'"),
)


def refused(error: BaseException, *, see: str) -> InputError:
    """The error a person can act on: an :class:`InputError` that was wrapped on its way, or one made of the message.

    Args:
        error: what was raised while a configuration was parsed or its classes were built.
        see: where to look further, e.g. ``srbench fit --help``.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, InputError):
            return cause
        cause = cause.__cause__
    return explained(str(error), see=see)


def explained(message: str, *, see: str) -> InputError:
    r"""One line for a message of many: the key, what was expected there and what was given.

    >>> text = 'Parser key "data": Errors: - Parser key "size": Expected a <class \'int\'>. Got value: x'
    >>> print(explained(text, see="srbench fit --help"))
    data.size: expected int, got 'x'; see srbench fit --help
    """
    text = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", message).split())
    found = [(m.start(), shape.format(*m.groups())) for pattern, shape in _LEAVES if (m := re.search(pattern, text))]
    if wrong := _wrong_type(text):
        found.append(wrong)
    if not found and (built := re.search(r"Errors: - (.*?)(?= - Expected a | Given value type)", text)):
        text = built[1]  # a class took its arguments and then failed on them
    if not found:
        return InputError(text if len(text) <= 300 else text[:297] + "...", remedy=f"see {see}")
    start, what = min(found)
    keys = list(dict.fromkeys(re.findall(r'Parser key "([^"]+)":', text[:start])))
    return InputError(what, where=".".join(keys) or None, remedy=f"see {see}")


def _wrong_type(text: str) -> tuple[int, str] | None:
    """Where a value of the wrong type is complained of, and in which words."""
    # A class that was found counts as the meant alternative; only what it complains of is of interest.
    leaf = re.search(r"Expected an? (?!path but|dot import path|<class 'NoneType'>)", text)
    if leaf is None:
        return None
    given = re.search(
        r"(?:Given value|Got value): (.*?)(?=(?:\.? - Expected|\. Got value| - Not a valid| Given value)|$)",
        text[leaf.start() :],
    )
    unions = re.findall(r"Subtypes: \[(.*?)\] Errors:", text[: leaf.start()])
    direct = re.match(r"Expected an? (.*?)\. Got value", text[leaf.start() :])
    wanted = direct[1] if direct and " - " not in direct[1] else unions[-1] if unions else ""
    value = given[1].strip().strip("'\"") if given else ""
    shown = value if len(value) <= 80 else value[:77] + "..."
    return leaf.start(), f"expected {_spoken(wanted)}, got '{shown}'"


def _spoken(types: str) -> str:
    """``[<class 'int'>, <class 'NoneType'>]`` as ``int or null``; the choices of a Literal as they are written."""
    words: list[str] = []
    for literal, name, plain in re.findall(r"typing\.Literal\[(.*?)\]|<class '([^']*)'>|([\w.]+\[[^\]]*\]+)", types):
        words += re.findall(r"'[^']*'|[\w.-]+", literal) or [name.rpartition(".")[2] or plain]
    spoken = ["null" if word == "NoneType" else word for word in dict.fromkeys(words)]
    return " or ".join(spoken) or "another value"
