"""Files over links of S3: up by one PUT, down into a file that is whole or not there."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import IO, Any

import requests

from propensity_cli.api import TIMEOUT, UNSIGNED, unreachable
from propensity_cli.failures import RefusedError, ServiceFailedError, WrongUseError

_CHUNK = 1 << 20
_CODE = re.compile(r"<Code>([A-Za-z0-9]+)</Code>")


class LinkExpiredError(RefusedError):
    """S3 answered 403 to a link, as it does when the link's time is over."""


def upload(session: requests.Session, link: Mapping[str, Any], content: IO[bytes], name: str) -> str:
    """Put a file by an upload link; the day (UTC) of the store's clock. Raises RefusedError or ServiceFailedError."""
    try:
        answer = session.put(
            link["url"],
            data=content,
            headers=dict(link["headers"]),
            auth=UNSIGNED,
            timeout=TIMEOUT,
            allow_redirects=False,
        )
    except requests.RequestException as error:
        raise unreachable("PUT", name, error) from error
    if answer.status_code == requests.codes.precondition_failed:
        raise RefusedError(
            f"{link['key']}: a file of this name landed before, and is not written over; give the file another name "
            "with --name",
            kind="PreconditionFailed",
            status=answer.status_code,
        )
    _check(answer, f"PUT {name}")
    return store_day(answer)


def store_day(answer: requests.Response) -> str:
    """The day by the store's own clock: this machine's may be wrong, and a landing is listed by the store's day."""
    try:
        return parsedate_to_datetime(answer.headers["Date"]).date().isoformat()
    except (KeyError, ValueError) as error:
        raise ServiceFailedError("the store's answer has no Date; ask for the file by `propensity status`") from error


def checked_name(name: str) -> str:
    """A file's name from an answer, which must be a name and no path. Raises ServiceFailedError."""
    if not name or name in (".", "..") or re.search(r"[/\\\x00]", name):
        raise ServiceFailedError(f"the answer has a file named {name!r}, expected a name without folders")
    return name


def is_there(path: Path, file: Mapping[str, Any]) -> bool:
    """Whether the file is there already, with the bytes and the hash that the receipt has."""
    if not path.is_file() or path.stat().st_size != file["bytes"]:
        return False
    with path.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    return found == str(file["sha256"])


def download(session: requests.Session, file: Mapping[str, Any], path: Path, *, took: Callable[[int], None]) -> None:
    """Get a file of a list by its link. `path` has the whole file afterwards, or what it had before.

    The file is readable by its owner only, since it names customers. `took` is called with the bytes of each part.
    Raises LinkExpiredError, RefusedError or ServiceFailedError, and WrongUseError where the folder takes no file.
    """
    name, digest, size = path.name, hashlib.sha256(), 0
    try:
        descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=f".{name}.", suffix=".part")
    except OSError as error:
        raise WrongUseError(f"{path.parent}: takes no file: {error.strerror}; name another folder by --out") from error
    try:
        with (
            os.fdopen(descriptor, "wb") as content,
            session.get(file["url"], auth=UNSIGNED, timeout=TIMEOUT, stream=True) as answer,
        ):
            _check(answer, f"GET {name}")
            for chunk in answer.iter_content(_CHUNK):
                content.write(chunk)
                digest.update(chunk)
                size += len(chunk)
                took(len(chunk))
        if (size, digest.hexdigest()) != (file["bytes"], file["sha256"]):
            raise ServiceFailedError(
                f"{name}: {size} bytes that are not those of the receipt, expected {file['bytes']}; nothing was kept, "
                "run the command again"
            )
        Path(part).replace(path)
    except requests.RequestException as error:
        raise ServiceFailedError(
            f"{name}: the download broke after {size} of {file['bytes']} bytes ({type(error).__name__}); nothing was "
            "kept, run the command again"
        ) from error
    except OSError as error:
        raise WrongUseError(f"{path}: cannot be written: {error.strerror}; name another folder by --out") from error
    finally:
        Path(part).unlink(missing_ok=True)


def _check(answer: requests.Response, what: str) -> None:
    if answer.status_code == requests.codes.ok:
        return
    found = _CODE.search(answer.text)
    code = found[1] if found else answer.reason
    if answer.status_code == requests.codes.forbidden:
        raise LinkExpiredError(f"{what}: {code}; run the command again for a new link", kind=code, status=403)
    kind = RefusedError if 400 <= answer.status_code < 500 else ServiceFailedError
    raise kind(f"{what}: the store answered {answer.status_code} {code}", kind=code, status=answer.status_code)
