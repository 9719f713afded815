"""Where the API is and who signs: the local stack's file, which is read and never run, or an AWS profile."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from propensity_cli.connection import connect, parse_environment
from propensity_cli.failures import WrongUseError
from propensity_cli.main import app
from tests.kit.cli_service import Command, Service

URL = "https://abc123.execute-api.eu-west-1.amazonaws.com/live"


def local(folder: Path, **changed: str | None) -> Path:
    lines: dict[str, str | None] = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    lines |= {"AWS_REGION": "us-east-1", "LOCAL_API": "http://127.0.0.1:4566/_aws/execute-api/abc/live", **changed}
    (folder / "env").write_text(
        "".join(f"export {name}={value}\n" for name, value in lines.items() if value is not None)
    )
    return folder


def test_values_are_taken_as_they_stand_and_nothing_is_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    content = (
        "# of make up\n\n"
        f"export A=$(touch {ran})\nB=`touch {ran}`\n  export C=$HOME\r\nexport D='it''s {{x}}'\n"
        "export E=\"a b\"\nexport F=\nexport G=a=b==\nexport H=a b; c\nexport I='$(x)'\n"
    )
    assert parse_environment(content, "env") == {
        "A": f"$(touch {ran})",
        "B": f"`touch {ran}`",
        "C": "$HOME",
        "D": "its {x}",
        "E": "a b",
        "F": "",
        "G": "a=b==",
        "H": "a b; c",
        "I": "$(x)",
    }
    assert not ran.exists()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("touch secret", "expected export NAME=value"),
        ("export 1A=secret", "expected export NAME=value"),
        ("export A-B=secret", "expected export NAME=value"),
        ("export A='secret", "a quote is not closed"),
        ("export A='secret' b", "expected one value"),
    ],
)
def test_a_line_that_is_no_variable_is_named_without_its_value(line: str, told: str) -> None:
    with pytest.raises(WrongUseError, match=rf"^env: line 2: .*{told}") as caught:
        parse_environment(f"export X=1\n{line}\n", "env")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["LOCAL_API", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_is_missing_is_named(name: str, value: str | None, tmp_path: Path) -> None:
    with pytest.raises(WrongUseError, match=rf"env: {name} is missing; run `make up`"):
        connect(api_url=None, region=None, profile=None, folder=local(tmp_path, **{name: value}))


def test_the_local_stack_goes_before_an_address(tmp_path: Path) -> None:
    found = connect(api_url=URL, region=None, profile=None, folder=local(tmp_path))
    assert (found.url, found.region) == ("http://127.0.0.1:4566/_aws/execute-api/abc/live", "us-east-1")


def test_a_stack_that_does_not_run_says_how_to_start_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["models", "--local"])
    assert result.exit_code == 2
    assert "build/stack/up/env: is not there; start the local stack by `make up`" in result.stderr


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_PROFILE",
        "AWS_DEFAULT_REGION",
        "PROPENSITY_API_URL",
    ):
        monkeypatch.delenv(name, raising=False)
    config = "[profile anna]\nregion = eu-north-1\naws_access_key_id = AKIAANNA\naws_secret_access_key = x\n"
    (tmp_path / "config").write_text(config + "[profile bare]\n[default]\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.mark.usefixtures("profiles")
def test_a_profile_signs_for_the_region_that_the_address_names() -> None:
    found = connect(api_url=f"{URL}/", region=None, profile="anna", folder=None)
    assert (found.url, found.region, found.credentials.access_key) == (URL, "eu-west-1", "AKIAANNA")
    own = "https://api.example.com/live"
    assert connect(api_url=own, region=None, profile="anna", folder=None).region == "eu-north-1"
    assert connect(api_url=URL, region="us-west-2", profile="anna", folder=None).region == "us-west-2"


@pytest.mark.usefixtures("profiles")
@pytest.mark.parametrize(
    ("url", "profile", "told"),
    [
        (None, "anna", "--api-url"),
        (URL, "nobody", "nobody"),
        (URL, "bare", "credentials: none found"),
        ("http://abc.example.com/live", "anna", "expected https"),
        ("ftp://127.0.0.1/live", "anna", "expected https"),
        ("abc.example.com", "anna", "expected https"),
        ("https://[::1/live", "anna", "is no address"),
        ("https://abc.example.com:x/live", "anna", "is no address"),
        ("https://anna@abc.example.com/live", "anna", "expected https"),
        ("https://abc.example.com/live?x=1", "anna", "expected https"),
    ],
)
def test_a_setting_that_is_wrong_is_named(url: str | None, profile: str, told: str) -> None:
    with pytest.raises(WrongUseError) as caught:
        connect(api_url=url, region=None, profile=profile, folder=None)
    assert told in str(caught.value)


def test_a_service_that_is_not_there_ends_with_5(
    propensity: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("propensity_cli.commands.BACKOFF", 0)
    local(propensity.folder, LOCAL_API="http://127.0.0.1:1/live")
    result = propensity("models")
    assert result.exit_code == 5
    assert "GET /v1/models: no answer (" in result.stderr
    assert "Connection refused" in result.stderr


@pytest.mark.parametrize(
    "words", [("models", "--nonsense"), ("export", "dealer_01"), ("promote", "buy", "x", "--why", "y")]
)
def test_words_that_are_no_command_end_with_2(words: tuple[str, ...], propensity: Command, service: Service) -> None:
    assert propensity(*words).exit_code == 2
    assert service.asked == []


def test_a_shell_completes_the_commands() -> None:
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": "shared/src", "_PROPENSITY_COMPLETE": "complete_bash"}
    environment |= {"COMP_WORDS": "propensity ex", "COMP_CWORD": "1"}
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-m", "propensity_cli"], env=environment, cwd=root, capture_output=True, text=True
    )
    assert done.stdout.split() == ["explain", "export", "exports"]
