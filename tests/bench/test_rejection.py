"""jsonargparse's reports as one line."""

import pytest

from srbench.errors import InputError
from srbench.rejection import explained, refused

NESTED = """Parser key "data":
  Does not validate against any of the Union subtypes
  Subtypes: [<class 'srbench.datamodule.SRDataModule'>, <class 'NoneType'>]
  Errors:
    - Problem with given class_path 'srbench.datamodules.image_pairs.ImagePairs':
        Parser key "batch_size":
          Expected a <class 'int'>. Got value: four
    - Expected a <class 'NoneType'>
  Given value type: <class 'jsonargparse._util.NestedArg'>
  Given value: NestedArg(key='batch_size', val='four')"""

UNION = """Parser key "trainer.max_epochs":
  Does not validate against any of the Union subtypes
  Subtypes: [<class 'int'>, <class 'NoneType'>]
  Errors:
    - Expected a <class 'int'>
    - Expected a <class 'NoneType'>
  Given value type: <class 'str'>
  Given value: three"""

MISSING = """Parser key "model":
  Errors:
    - Problem with given class_path 'srbench.modules.external.ImageFolder':
        the following arguments are required: root, name
    - Expected a <class 'NoneType'>"""

BUILT = """Does not validate against any of the Union subtypes
Subtypes: [<class 'srbench.module.SRModule'>, <class 'NoneType'>]
Errors:
  - Trying to create tensor with negative dimension -1: [-1, 3, 3, 3]
  - Expected a <class 'NoneType'>
Given value type: <class 'jsonargparse._namespace.Namespace'>"""


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (NESTED, "data.batch_size: expected int, got 'four'; see --help"),
        (UNION, "trainer.max_epochs: expected int or null, got 'three'; see --help"),
        (MISSING, "model: it needs root, name; see --help"),
        (BUILT, "Trying to create tensor with negative dimension -1: [-1, 3, 3, 3]; see --help"),
        (
            "Parser key \"model\": Expected a typing.Literal['baseline', 'full']. Got value: huge",
            "model: expected 'baseline' or 'full', got 'huge'; see --help",
        ),
        ("argument --benchmark.out: expected one argument", "--benchmark.out needs a value; see --help"),
        ("something else", "something else; see --help"),
    ],
)
def test_one_line_says_where_what_and_instead_of_what(message: str, line: str) -> None:
    assert str(explained(message, see="--help")) == line


def test_a_long_message_is_cut() -> None:
    assert len(str(explained("x " * 1000, see="--help"))) < 320


def test_an_input_error_comes_through_whatever_was_wrapped_around_it() -> None:
    inner = InputError("scale 0 is impossible", where="model.scale", remedy="use 1")
    middle, outer = ValueError("many lines"), TypeError("and more")
    middle.__cause__ = inner
    outer.__cause__ = middle
    assert refused(outer, see="--help") is inner
