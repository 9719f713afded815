"""Batch and gap runs that were committed, found by their receipts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from propensity.ports import Ports
from propensity.registry.versions import Version


@dataclass(frozen=True, slots=True)
class Batch:
    """A committed batch: the prefix of its run, and its as-of date as YYYY-MM-DD."""

    run: str
    as_of: str


def last_batch(ports: Ports, champion: Version, day: date) -> Batch | None:
    """Return the newest batch that this version scored and committed, as of a day or before."""
    prefix = f"runs/score/{champion.model}/"
    suffix = f"-v{champion.number:06d}-batch/receipt.json"
    days = [key.removeprefix(prefix).removesuffix(suffix) for key in ports.lake.keys(prefix) if key.endswith(suffix)]
    earlier = [batch_day for batch_day in days if batch_day <= day.isoformat()]
    if not earlier:
        return None
    run = f"{prefix}{max(earlier)}{suffix.removesuffix('/receipt.json')}"
    return Batch(run, max(earlier))


def batch_runs(ports: Ports, model: str | None = None) -> list[str]:
    """Return the prefixes of the committed batch runs, of one model or of all models, in order of model and day."""
    prefix, suffix = f"runs/score/{model}/" if model else "runs/score/", "-batch/receipt.json"
    return [key.removesuffix("/receipt.json") for key in ports.lake.keys(prefix) if key.endswith(suffix)]


def gap_runs(ports: Ports, model: str | None = None) -> list[str]:
    """Return the prefixes of the committed gap runs, of one model or of all models, in order of model and day."""
    prefix, suffix = f"runs/score/{model}/" if model else "runs/score/", "/receipt.json"
    runs = [key.removesuffix(suffix) for key in ports.lake.keys(prefix) if key.endswith(suffix)]
    return [run for run in runs if re.fullmatch(r"[0-9-]{10}-v[0-9]{6}-gap(-.+)?", run.rpartition("/")[2])]


def gap_run_of(ports: Ports, model: str, day: date, request: str) -> str | None:
    """Return the prefix of the committed gap run of a day and request; None without one."""
    ending = f"-gap-{request}/receipt.json"
    found = [key for key in ports.lake.keys(f"runs/score/{model}/{day.isoformat()}-v") if key.endswith(ending)]
    return found[0].removesuffix("/receipt.json") if found else None
