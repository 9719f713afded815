"""A list as its users get it from the running stack: asked for, waited for, downloaded."""

from __future__ import annotations

import csv
import hashlib
import io
import urllib.request
from collections.abc import Mapping
from typing import Any

from tests.stack.stack import Stack, StackError


def pull(stack: Stack, tenant: str, asked: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Ask for a list and wait until it is ready; the last answer. StackError where it fails."""
    root = f"/v1/tenants/{tenant}/exports"
    status, answer = stack.call("POST", root, asked)
    if status != 200:
        raise StackError(f"POST {root}: {status} {answer}")
    found: dict[str, Any] = {}

    def ready() -> bool:
        status, told = stack.call("GET", f"{root}/{answer['export']}")
        if status != 200 or told["state"] == "failed":
            raise StackError(f"list {answer['export']}: {status} {told}")
        found.update(told)
        return bool(told["state"] == "ready")

    stack.wait(ready, seconds, f"list {answer['export']}")
    return found


def rows(answer: Mapping[str, Any]) -> list[dict[str, str]]:
    """Download the CSV files of a list by their links, and hold them against their hashes; their rows."""
    out: list[dict[str, str]] = []
    for file in answer["files"]:
        with urllib.request.urlopen(file["url"]) as body:  # noqa: S310 - a link of the stack on this machine
            content = body.read()
        if hashlib.sha256(content).hexdigest() != file["sha256"]:
            raise StackError(f"{file['file']}: is not the file of its receipt")
        out += csv.DictReader(io.StringIO(content.decode("utf-8-sig")))
    return out
