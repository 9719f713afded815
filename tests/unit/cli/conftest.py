"""A service that answers what a test sets, and the command run against it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from propensity_cli import waiting
from tests.kit.cli_service import Command, Service, running


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setattr(waiting, "FIRST", 0.01)
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "PROPENSITY_API_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with running() as found:
        yield found


@pytest.fixture
def propensity(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.chdir(tmp_path)
    return Command(service, tmp_path)
