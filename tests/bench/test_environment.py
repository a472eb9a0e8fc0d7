"""What a record says of a place, and what it does not."""

import getpass
import platform
import re
from datetime import datetime

import pytest

import srbench.environment as place


def test_versions_and_device_but_no_host_user_or_path() -> None:
    held = place.environment(threads=2, processes=4, device="cpu")
    assert (held["threads"], held["processes"], held["device"]) == ("2", "4", "cpu")
    assert {"python", "torch", "lightning", "numpy", "pillow"} <= held.keys()
    assert not {platform.node(), getpass.getuser()} & set(held.values())
    assert not any(value.startswith("/") for value in held.values())


def test_absent_packages_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "PACKAGES", ("numpy", "no-such-package"))
    assert list(place.versions()) == ["numpy"]


def test_the_revision_is_a_commit_or_none() -> None:
    revision = place.git_revision()
    assert revision is None or re.fullmatch(r"[0-9a-f]{40}(\+dirty)?", revision)


def test_without_git_there_is_no_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "_git", lambda *_: None)
    place.git_revision.cache_clear()
    try:
        assert place.git_revision() is None
    finally:
        place.git_revision.cache_clear()


def test_the_date_is_utc() -> None:
    assert datetime.strptime(place.now(), "%Y-%m-%dT%H:%M:%SZ").year >= 2024


def test_memory_is_in_mib() -> None:
    used = place.peak_memory_mb()
    assert used is None or 10 < used < 1e6
