"""The batch runs that were committed, told by their receipts."""

from __future__ import annotations

from datetime import date
from typing import Any

from propensity.ports import Ports
from propensity.registry.versions import Version


def last_batch(ports: Ports, champion: Version, day: date) -> dict[str, Any] | None:
    """Run and as-of date of the newest batch that this version scored and committed on or before a day."""
    prefix = f"runs/score/{champion.model}/"
    suffix = f"-v{champion.number:06d}-batch/receipt.json"
    days = [key.removeprefix(prefix).removesuffix(suffix) for key in ports.lake.keys(prefix) if key.endswith(suffix)]
    earlier = [batch_day for batch_day in days if batch_day <= day.isoformat()]
    if not earlier:
        return None
    run = f"{prefix}{max(earlier)}{suffix.removesuffix('/receipt.json')}"
    return {"run": run, "as_of": max(earlier)}


def batch_runs(ports: Ports, model: str | None = None) -> list[str]:
    """Prefixes of the committed batch runs, of one model or of all, in order of model and day."""
    prefix, suffix = f"runs/score/{model}/" if model else "runs/score/", "-batch/receipt.json"
    return [key.removesuffix("/receipt.json") for key in ports.lake.keys(prefix) if key.endswith(suffix)]
