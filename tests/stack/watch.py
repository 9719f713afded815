"""make watch: one line for each thing that a function of the running stack did."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from tests.stack.stack import attach
from tests.stack.up import folder_option


def records(path: Path) -> Iterator[dict[str, Any] | None]:
    """The functions' log records, oldest first; None whenever the log has no more for now."""
    with path.open(errors="replace") as log:
        line = ""
        while True:
            line += log.readline()
            if not line.endswith("\n"):
                yield None
                continue
            if line.startswith('{"level"'):
                yield json.loads(line)
            line = ""


def told(record: dict[str, Any]) -> Text:
    """A record as one line."""
    parts = {**record.get("asked", {}), **record.get("answered", {})}
    if "error" in record:
        parts["error"] = f"{record['error']}: {record['message']}"
    if "seconds" in record:
        parts["seconds"] = record["seconds"]
    fields = "  ".join(f"{name}={value}" for name, value in parts.items())
    style = "red" if record["level"] == "ERROR" else ""
    return Text(f"{record['timestamp'][11:19]}  {record.get('function_name', ''):<40} {fields}", style=style)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make watch", description=__doc__)
    folder_option(parser)
    folder = parser.parse_args().folder.resolve()
    stack = attach(folder)
    if stack is None:
        print("no stack is running; `make up` starts one", file=sys.stderr)
        return 1
    console = Console(highlight=False, soft_wrap=True)
    try:
        for record in records(folder / "ministack.log"):
            if record is not None:
                console.print(told(record))
            elif attach(folder) is None:
                return 0
            else:
                time.sleep(0.5)  # another process writes the file: nothing can wake this one
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
