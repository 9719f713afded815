"""Other people's tools on the bench's files, each in an environment of its own that uv makes for the run."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent


def peer(script: str, packages: Sequence[str], *arguments: str) -> dict[str, float]:
    """What the script prints: seconds (imports left out), memory_mb at its peak, failures found."""
    wanted = [option for package in packages for option in ("--with", package)]
    command = ["uv", "run", "--no-project", "--quiet", "--python", "3.13", *wanted, "python", str(HERE / script)]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{script}: exit {done.returncode}: {done.stderr[-2000:]}")
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told
