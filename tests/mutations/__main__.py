"""`python -m tests.mutations [--only SLUG] [--group GROUP]`: does each hand-picked fault turn its tests red?"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.mutations.catalogue import CatalogueError, chosen, faults, read_catalogue
from tests.mutations.runner import Outcome, Result, copied, judge_all, not_green


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("--only", metavar="SLUG", action="append", default=[], help="an entry; may be given again")
    parser.add_argument("--group", action="append", default=[], help="the entries of this file of tests/mutations")
    parser.add_argument("--trust", action="store_true", help="do not first run the tests without any fault")
    asked = parser.parse_args()
    tell = partial(print, flush=True)
    try:
        entries = chosen(read_catalogue(), slugs=asked.only, groups=asked.group)
    except CatalogueError as error:
        return _refused([str(error)])
    if found := [fault for entry in entries for fault in faults(entry)]:
        return _refused(found)
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        copy = copied(Path(folder) / "repository")
        if not asked.trust:
            tell(f"{len(entries)} mutations; first their tests without any of them")
            if found := not_green(copy, entries):
                return _refused(["these tests are not green without a mutation; mend them first", *found])
        results = judge_all(copy, entries, tell)
    Console(width=120).print(_table(results))
    return 0 if all(result.outcome is Outcome.RED for result in results) else 1


def _table(results: list[Result]) -> Table:
    counts = Counter(result.outcome for result in results)
    table = Table(title=", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome))
    table.add_column("mutation", no_wrap=True)
    table.add_column("tests")
    table.add_column("seconds", justify="right")
    for result in results:
        table.add_row(result.slug, result.outcome, f"{result.seconds:.1f}")
    return table


def _refused(lines: list[str]) -> int:
    print("\n".join(lines), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
