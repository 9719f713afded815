"""make bench AREA=…: the figures that the README claims, measured side by side on this machine."""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from pathlib import Path

from tests.bench.measure import write

ROOT = Path(__file__).resolve().parents[2]
AREAS = ("lake", "train", "score", "scale")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--area", choices=AREAS, required=True)
    parser.add_argument("--runs", type=int, default=5, help="turns of each side")
    parser.add_argument("--peers", action="store_true", help="beside other people's tools instead of a floor")
    parser.add_argument("--part", help="one part of the area (score has parts)")
    options = parser.parse_args()
    module = f"tests.bench.{'peers.' if options.peers else ''}{options.area}"
    with tempfile.TemporaryDirectory() as folder:
        chosen = {"part": options.part} if options.part else {}
        found = importlib.import_module(module).claims(Path(folder), options.runs, **chosen)
    return 1 if write(options.area, found, ROOT) else 0


if __name__ == "__main__":
    sys.exit(main())
