"""The page of ``srbench fit --help`` follows the classes it tells of."""

import inspect

import pytest

from srbench.benchmark import Benchmark
from srbench.guards import Checkpoint
from srbench.trainer_command import page


@pytest.mark.parametrize(("command", "classes"), [("fit", (Benchmark, Checkpoint)), ("test", (Benchmark,))])
def test_every_argument_is_told(command: str, classes: tuple[type, ...]) -> None:
    text = page(command)
    for held in classes:
        for name in inspect.signature(held).parameters:
            assert f"\n  {name} " in text
    assert f"usage: srbench {command} " in text
    assert max(map(len, text.splitlines())) <= 120
