"""A service that answers what a test sets, and the command run against it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from propensity_cli import waiting
from propensity_cli.main import app
from tests.unit.cli.service import REGION, USER, Service, running


class Command:
    """The command in this process, with the environment file of a local stack that is the test's service."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.folder = folder / "stack"
        self.folder.mkdir()
        self.service = service
        lines = {
            "AWS_ACCESS_KEY_ID": USER.access_key,
            "AWS_SECRET_ACCESS_KEY": f"'{USER.secret_key}'",
            "AWS_REGION": REGION,
            "LOCAL_API": service.address,
        }
        (self.folder / "env").write_text("".join(f"export {name}={value}\n" for name, value in lines.items()))

    def __call__(self, *words: str, env: dict[str, str] | None = None) -> Any:
        return CliRunner().invoke(app, [*words, "--folder", str(self.folder)], env=env)

    def json(self, *words: str, code: int = 0) -> Any:
        """The document that --json prints."""
        result = self(*words, "--json")
        assert result.exit_code == code, result.output
        document = json.loads(result.stdout)
        assert document["schema"] == 1
        assert document["command"] == words[0]
        return document


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
