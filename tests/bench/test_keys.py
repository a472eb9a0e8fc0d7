"""Keys and classes, checked without building anything."""

from typing import Any

import pytest

from srbench.arguments import Invocation
from srbench.errors import InputError
from srbench.keys import check_keys, class_arguments, require

EDSR = "srbench.modules.edsr.EDSR"


def check(stack: dict[str, Any] | None = None, *rest: str) -> None:
    check_keys(Invocation("fit", stack or {}, list(rest)))


def test_what_is_right_passes() -> None:
    optimizer = {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.1}}
    model = {"class_path": EDSR, "init_args": {"preset": "full", "scale": 2, "optimizer": optimizer}}
    check({"model": model, "trainer": {"max_steps": 3, "callbacks": None}, "benchmark": {"force": True}})
    check({"model": model}, "--model.optimizer.lr", "3", "--model.init_args.tile=4", "--trainer.logger", "false")
    check({}, "--model", EDSR, "--model.scheduler", "StepLR", "--model.scheduler.step_size", "3")
    check({}, "--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor", "x", "--print_config")
    check({"data": {"init_args": {"anything": 1}}})  # no class yet: nothing to check against


@pytest.mark.parametrize(
    ("stack", "said"),
    [
        ({"modell": {}}, "modell: unknown key 'modell'; did you mean 'model'?"),
        ({"trainer": {"max_step": 1}}, "trainer.max_step: unknown key"),
        ({"model": {"class_path": EDSR, "init_arg": {}}}, "did you mean 'init_args'?"),
        ({"model": {"class_path": EDSR, "init_args": {"presett": 1}}}, "did you mean 'preset'?"),
        ({"model": {"class_path": "no.such.Net", "init_args": {"a": 1}}}, "the class cannot be imported"),
        ({"model": {"class_path": "os.system", "init_args": {"a": 1}}}, "it is no class"),
        ({"trainer": {"callbacks": [{"class_path": "EarlyStopping", "init_args": {"monitr": 1}}]}}, "'monitor'"),
    ],
)
def test_what_is_wrong_in_a_config_is_named(stack: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        check(stack)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        (["--model.presett", "x"], "model.presett: unknown key 'presett'; did you mean 'preset'?"),
        (["--model.optimizer", "SGDD"], "did you mean 'SGD'?"),
        (["--model.optimizer", "SGD", "--model.optimizer.momentm", "1"], "did you mean 'momentum'?"),
        (["--model.optimizer={class_path: SGD, init_args: {momentm: 1}}"], "did you mean 'momentum'?"),
        (["--model.optimizer={class_path: "], "not valid YAML"),
        (["--zzzzzz", "1"], "valid: benchmark"),
    ],
)
def test_what_is_wrong_on_the_command_line_is_named(rest: list[str], said: str) -> None:
    with pytest.raises(InputError) as caught:
        check({"model": {"class_path": EDSR}}, *rest)
    assert said in str(caught.value)


def test_the_class_of_the_command_line_counts() -> None:
    check(
        {"model": {"class_path": EDSR, "init_args": {"preset": "full"}}}, "--model", "srbench.modules.bicubic.Bicubic"
    )
    with pytest.raises(InputError, match="did you mean 'border'"):
        check({"model": {"class_path": EDSR}}, "--model", "srbench.modules.bicubic.Bicubic", "--model.bordr", "x")


def test_arguments_of_parents_belong_to_a_class() -> None:
    assert {"preset", "optimizer", "scheduler", "scale", "weights", "tile"} <= set(class_arguments(EDSR))


def test_both_classes_are_required() -> None:
    with pytest.raises(InputError, match="no model class is given"):
        require(Invocation("fit", {"data": {"class_path": "x"}}, []))
    with pytest.raises(InputError, match="no data class is given"):
        require(Invocation("fit", {"data": {"init_args": {}}}, ["--model", "x"]))
    require(Invocation("describe", {}, ["--model", "x"]), ["model"])


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("nowhere_at_all.Net", r"nowhere_at_all\.Net: the class cannot be imported .*PYTHONPATH"),
        ("json.JSONDecoderr", "did you mean 'json.JSONDecoder'"),
    ],
)
def test_a_class_of_ones_own_that_is_not_there(model: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        check({}, "--model", model)
    assert "\n" not in str(caught.value)


def test_what_is_valid_among_the_arguments_are_the_arguments() -> None:
    with pytest.raises(InputError, match="unknown key 'qqqq'; valid: ") as caught:
        check({}, "--model", EDSR, "--model.init_args.qqqq", "1")
    assert "class_path" not in str(caught.value)
    assert "preset" in str(caught.value)
