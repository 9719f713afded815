"""The files and the plain model of `make soak AREA=stack`, compared with validation in this process."""

from __future__ import annotations

from propensity.runtime.pack_files import pack_files
from tests.kit.drops import Drops
from tests.stack.feed import Feed
from tests.stack.plain import DATASETS, as_text, latest, read


class Dealers(Drops):
    pack = "automotive"


def test_the_plain_model_and_validation_tell_good_rows_from_bad_in_the_same_lines() -> None:
    drops = Dealers(pack_files("automotive"))
    kinds = set()
    for sent in Feed(3).files(1, 60):
        report, expected = drops.drop_at(sent.body, sent.key), read(sent.key, sent.body)
        if expected is None:
            assert report["status"] == "rejected", sent.key
            kinds.add("refused")
            continue
        columns = DATASETS[sent.dataset].columns
        rows = drops.rows(report["bronze_key"], ", ".join(("_line", *(f"{one}::varchar" for one in columns))))
        good = {line: tuple(map(as_text, columns, values)) for line, *values in rows}
        assert good == expected.good, sent.key
        assert {line: raw for line, raw, _ in drops.quarantine(report)} == expected.bad, sent.key
        kinds |= {name for name, found in (("good", expected.good), ("bad", expected.bad)) if found}
    assert kinds == {"refused", "good", "bad"}


def test_equal_seeds_give_equal_files_and_others_do_not() -> None:
    assert Feed(1).files(1, 30) == Feed(1).files(1, 30) != Feed(2).files(1, 30)


def test_the_latest_row_of_a_key_is_the_one_of_the_highest_revision_then_of_the_newest_record() -> None:
    visits = DATASETS["service_records"]

    def row(revision: str, recorded: str) -> tuple[str, ...]:
        named = {"service_id": "V-1", "revision": revision, "recorded_at": f"2024-01-0{recorded} 00:00:00"}
        return tuple(named.get(column, "") for column in visits.columns)

    first, second = "2024-02-01T00:00:00", "2024-02-01T00:00:01"
    rows = [("t", first, row(*one)) for one in (("2", "1"), ("10", "2"), ("2", "3"), ("10", "1"))]
    assert latest(visits, rows, before=None) == {("t", row("10", "2"))}
    assert latest(visits, rows, before="2024-01-02 00:00:00") == {("t", row("10", "1"))}
    assert latest(visits, [rows[0], rows[2]], before=None) == {("t", row("2", "3"))}
    restated = ("t", second, row("99", "1"))
    assert latest(visits, [*rows, restated], before="2024-01-02 00:00:00") == {("t", row("10", "1"))}
    assert latest(visits, [*rows, restated], before="2024-02-02 00:00:00") == {("t", row("99", "1"))}
