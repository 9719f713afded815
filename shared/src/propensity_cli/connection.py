"""Where the API is, and who signs calls: an AWS profile, or the environment file of the local stack."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError
from botocore.session import Session

from propensity_cli.failures import WrongUseError

USUAL_FOLDER = Path("build/stack/up")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_AWS_HOST = re.compile(r"[a-z0-9-]+\.execute-api\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")
_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Connection:
    """The API's address without a slash at its end, and what signs: credentials of botocore, and the region."""

    url: str
    region: str
    credentials: Any


def connect(*, api_url: str | None, region: str | None, profile: str | None, folder: Path | None) -> Connection:
    """Choose the connection. `folder` is that of a local stack, and goes before `api_url`.

    Raises WrongUseError, which names the setting.
    """
    if folder is not None:
        return _local(folder / "env")
    if not api_url:
        raise WrongUseError(
            "no API is named: give --api-url, or set PROPENSITY_API_URL (the stack's output ApiUrl); for the local "
            "stack of `make up` give --local"
        )
    url = _checked(api_url, "--api-url")
    try:
        session = Session(profile=profile)
        credentials = session.get_credentials()
        named = _AWS_HOST.fullmatch(urlsplit(url).hostname or "")
        where = region or (named[1] if named else session.get_config_variable("region"))
    except BotoCoreError as error:
        raise WrongUseError(f"AWS credentials: {error}") from error
    if credentials is None:
        raise WrongUseError("AWS credentials: none found; give --profile, or sign in as you do for the aws command")
    if not where:
        raise WrongUseError(f"region: {url} names none; give --region, or set AWS_DEFAULT_REGION")
    return Connection(url, str(where), credentials)


def _local(path: Path) -> Connection:
    """The connection to a local stack, from the file that `make up` writes for shells."""
    try:
        content = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise WrongUseError(
            f"{path}: is not there; start the local stack by `make up`, or name its --folder"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUseError(f"{path}: cannot be read as text: {type(error).__name__}; run `make up` again") from error
    values = parse_environment(content, str(path))
    for name in ("LOCAL_API", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        if not values.get(name):
            raise WrongUseError(f"{path}: {name} is missing; run `make up` again")
    keys = Credentials(values["AWS_ACCESS_KEY_ID"], values["AWS_SECRET_ACCESS_KEY"], values.get("AWS_SESSION_TOKEN"))
    return Connection(_checked(values["LOCAL_API"], f"{path}: LOCAL_API"), values["AWS_REGION"], keys)


def parse_environment(content: str, name: str) -> Mapping[str, str]:
    """Return the variables of a file of lines `export NAME=value`, without running anything of it.

    A value may stand in quotes of a shell. A value without quotes is taken as it stands: `$HOME` stays these five
    characters. Raises WrongUseError naming the line; the message has no value, for a value may be a secret.
    """
    found = {}
    for number, line in enumerate(content.splitlines(), 1):
        told = line.strip()
        if not told or told.startswith("#"):
            continue
        variable, equals, value = told.removeprefix("export ").strip().partition("=")
        if not equals or not _NAME.fullmatch(variable):
            raise WrongUseError(f"{name}: line {number}: expected export NAME=value; run `make up` again")
        found[variable] = _unquoted(value, f"{name}: line {number}: {variable}")
    return found


def _unquoted(value: str, where: str) -> str:
    if value[:1] not in ("'", '"'):
        return value
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise WrongUseError(f"{where}: a quote is not closed; run `make up` again") from error
    if len(words) != 1:
        raise WrongUseError(f"{where}: expected one value, found {len(words)}; run `make up` again")
    return words[0]


def _checked(url: str, where: str) -> str:
    """The address without the slash at its end. Answers hold customers: only this machine may be called over http."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise WrongUseError(f"{where}: {url!r} is no address: {error}") from error
    safe = parts.scheme == "https" or (parts.scheme == "http" and host in _THIS_MACHINE)
    if not host or not safe or parts.query or parts.fragment or parts.username:
        raise WrongUseError(f"{where}: {url!r}, expected https://<host>/<stage>, as the stack's output ApiUrl has it")
    return url.rstrip("/")
