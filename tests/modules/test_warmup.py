import torch

from srbench.modules.warmup import WarmupMultiStepLR


def _rates(steps: int, **settings: object) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = WarmupMultiStepLR(optimizer, **settings)  # type: ignore[arg-type]
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_it_rises_and_is_halved() -> None:
    assert _rates(9, warmup=4, milestones=[8, 6]) == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 0.5, 0.5, 0.25]


def test_without_warmup_it_is_multistep() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 3], gamma=0.1)
    expected = []
    for _ in range(5):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    found = _rates(5, milestones=[2, 3], gamma=0.1)
    assert all(abs(a - b) < 1e-12 for a, b in zip(found, expected, strict=True))


def test_it_goes_on_from_its_state() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = WarmupMultiStepLR(optimizer, warmup=4)
    optimizer.step()
    scheduler.step()
    other = WarmupMultiStepLR(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0), warmup=4)
    other.load_state_dict(scheduler.state_dict())
    other.optimizer.step()
    other.step()
    assert other.get_last_lr() == [0.75]
