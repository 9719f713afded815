"""`export` asks for a list once, waits, downloads whole files only, and shows a receipt that adds up."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from propensity_cli.failures import ServiceFailedError
from propensity_cli.lists import request_key
from propensity_cli.transfer import checked_name
from tests.kit.cli_service import Answer, Command, Service

ASK = ("export", "dealer_01", "--model", "service", "--destination", "crm")
POST = "POST /v1/tenants/dealer_01/exports"
GET = "GET /v1/tenants/dealer_01/exports/service-1"
CONTENT = b"id,score\r\nC1,0.5\r\n"
RUNNING = {"export": "service-1", "tenant_id": "dealer_01", "state": "running", "by": "anna", "at": "2025-07-01"}


def receipt(**changed: Any) -> dict[str, Any]:
    return {
        "export": "service-1",
        "tenant_id": "dealer_01",
        "model": "service",
        "model_version": 2,
        "destination": "crm",
        "channel": "mail",
        "as_of": "2025-07-01",
        "population": 1234,
        "arms": {"exported": 1, "held_out": 3, "suppressed": 1230},
        "why": {
            "exported": {"listed": 1},
            "held_out": {"holdout": 3},
            "suppressed": {"no_consent": 1200, "no_score": 30},
        },
        "deciles": {},
        "households": 1,
        "matchable": {"Email": 1},
        "mode": "full",
        "added": 1,
        "removed": 0,
        "files": [],
        **changed,
    }


def ready(service: Service, *names: str, **changed: Any) -> dict[str, Any]:
    told = {"rows": 1, "bytes": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest(), "seconds": 900}
    files = [{"file": name, **told, "url": f"{service.address}/s3/{name}?sig=secret"} for name in names]
    return {**RUNNING, "state": "ready", "receipt": receipt(**changed), "files": files}


@pytest.fixture
def listed(service: Service) -> Service:
    service.on(POST, Answer(RUNNING))
    service.on(GET, Answer(RUNNING), Answer(ready(service, "list.csv")))
    service.on("GET /s3/list.csv?sig=secret", Answer(CONTENT))
    return service


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_list_is_asked_for_waited_for_and_downloaded(propensity: Command, listed: Service, tmp_path: Path) -> None:
    result = propensity(*ASK)
    assert result.exit_code == 0, result.output
    assert listed.calls() == [POST, GET, GET, "GET /s3/list.csv?sig=secret"]
    asked = listed.asked[0]
    assert asked.json == {"model": "service", "destination": "crm"}
    assert all(one.is_signed(listed.address) for one in listed.asked[:3])
    assert "idempotency-key" in asked.headers["authorization"]
    assert "authorization" not in listed.asked[3].headers  # S3 refuses a link that comes with a second signature
    saved = tmp_path / "service-1/list.csv"
    assert saved.read_bytes() == CONTENT
    assert saved.stat().st_mode & 0o077 == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["exported", "listed", "1"] in lines
    assert ["suppressed", "1,230"] in lines
    assert ["no_consent", "(1,200)"] in lines
    assert ["population", "1,234"] in lines
    assert "secret" not in result.output


def test_every_field_of_a_request_is_an_option(propensity: Command, listed: Service, tmp_path: Path) -> None:
    options = {
        "holdout": "0.2",
        "household": "each",
        "not-within-days": "30",
        "fresh-days": "7",
        "format": "jsonl",
        "as-of": "2025-06-30",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    result = propensity(*ASK, *words, "--decile", "10", "--decile", "9", "--capacity", "50", "--reset", "--key", "july")
    assert result.exit_code == 0, result.output
    assert listed.asked[0].headers["idempotency-key"] == "july"
    assert listed.asked[0].json == {
        "model": "service",
        "destination": "crm",
        "filter": {"deciles": [10, 9], "capacity": 50},
        "holdout": 0.2,
        "household": "each",
        "not_within_days": 30,
        "fresh_days": 7,
        "format": "jsonl",
        "reset": True,
        "as_of": "2025-06-30",
    }


def test_the_key_is_that_of_the_same_options_on_the_same_day_and_of_no_other(
    propensity: Command, listed: Service
) -> None:
    body = {"model": "service", "destination": "crm"}
    keys = {
        request_key("dealer_01", body, day="2025-07-01"),
        request_key("dealer_02", body, day="2025-07-01"),
        request_key("dealer_01", body, day="2025-08-01"),
        request_key("dealer_01", {**body, "reset": True}, day="2025-07-01"),
    }
    assert len(keys) == 4
    for _ in range(2):
        propensity(*ASK, "--no-wait")
    propensity(*ASK, "--no-wait", "--top", "5")
    sent = [one.headers["idempotency-key"] for one in listed.asked]
    assert sent[0] == sent[1] != sent[2]


def test_json_has_the_answer_and_the_paths_but_no_link(propensity: Command, listed: Service, tmp_path: Path) -> None:
    document = propensity.json(*ASK, "--out", "lists")
    answer = document["answer"]
    assert answer["receipt"]["population"] == 1234
    [file] = answer["files"]
    assert {"file": "list.csv", "rows": 1, "path": "lists/list.csv"}.items() <= file.items()
    assert "url" not in file
    assert (tmp_path / "lists/list.csv").read_bytes() == CONTENT


def test_a_download_that_breaks_leaves_no_half_file(propensity: Command, listed: Service, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "list.csv").write_bytes(b"of last month")
    begun = 2 * 2**20  # two parts of those that a download is written in
    listed.on("GET /s3/list.csv?sig=secret", Answer(bytes(begun), promised=begun + 9))
    result = propensity(*ASK, "--out", str(out))
    assert result.exit_code == 5
    assert f"the download broke after {begun} of" in result.stderr
    assert left(out) == ["list.csv"]
    assert (out / "list.csv").read_bytes() == b"of last month"


def test_a_file_that_is_not_the_receipts_is_not_kept(propensity: Command, listed: Service, tmp_path: Path) -> None:
    listed.on("GET /s3/list.csv?sig=secret", Answer(CONTENT.replace(b"C1", b"C2")))
    result = propensity(*ASK)
    assert result.exit_code == 5
    assert "not those of the receipt" in result.stderr
    assert left(tmp_path / "service-1") == []


def test_a_file_that_is_there_is_not_downloaded_again(propensity: Command, listed: Service) -> None:
    assert propensity(*ASK).exit_code == 0
    assert propensity(*ASK).exit_code == 0
    assert listed.calls().count("GET /s3/list.csv?sig=secret") == 1


def test_a_link_whose_time_is_over_is_asked_for_again(propensity: Command, listed: Service, tmp_path: Path) -> None:
    listed.on("GET /s3/list.csv?sig=secret", Answer(b"<Error><Code>AccessDenied</Code></Error>", 403), Answer(CONTENT))
    assert propensity(*ASK).exit_code == 0
    assert listed.calls()[-2:] == [GET, "GET /s3/list.csv?sig=secret"]
    assert (tmp_path / "service-1/list.csv").read_bytes() == CONTENT


def test_a_receipt_that_does_not_add_up_ends_the_command_before_a_file_is_there(
    propensity: Command, listed: Service, tmp_path: Path
) -> None:
    for wrong in ({"population": 1235}, {"why": {"suppressed": {"no_score": 1229}}}):
        listed.on(GET, Answer(ready(listed, "list.csv", **wrong)))
        result = propensity(*ASK)
        assert result.exit_code == 5
        assert "does not add up" in result.stderr
        assert not (tmp_path / "service-1").exists()


def test_a_list_that_failed_says_why_and_what_to_do(propensity: Command, service: Service) -> None:
    service.on(POST, Answer({**RUNNING, "state": "failed", "reason": "NotFoundError: no batch run"}))
    document = propensity.json(*ASK, code=5)
    assert "no batch run" in document["error"]["message"]
    assert "--key" in document["error"]["message"]


def test_a_list_that_is_not_ready_in_time_ends_with_4(propensity: Command, service: Service) -> None:
    service.on(POST, Answer(RUNNING))
    service.on(GET, Answer(RUNNING))
    result = propensity(*ASK, "--timeout", "0.05")
    assert result.exit_code == 4
    assert "list service-1: still running after 0 s" in result.stderr


def test_progress_is_shown_to_terminals_only(propensity: Command, listed: Service) -> None:
    assert propensity(*ASK).stderr == ""
    listed.on(GET, Answer(RUNNING), Answer(ready(listed, "list.csv")))
    shown = propensity(*ASK, env={"TTY_COMPATIBLE": "1", "TERM": "xterm"})
    assert "list service-1" in shown.stderr


def test_top_and_capacity_are_refused_before_anything_is_sent(propensity: Command, service: Service) -> None:
    result = propensity(*ASK, "--top", "1", "--capacity", "1")
    assert result.exit_code == 2
    assert service.asked == []


@pytest.mark.parametrize("name", ["", ".", "..", "../list.csv", "/etc/list.csv", "a\\b", "a\0"])
def test_a_file_is_saved_nowhere_but_in_its_folder(name: str) -> None:
    with pytest.raises(ServiceFailedError, match="without folders"):
        checked_name(name)


def test_a_file_that_cannot_be_written_is_named_and_leaves_nothing(
    propensity: Command, listed: Service, tmp_path: Path
) -> None:
    (tmp_path / "out/list.csv").mkdir(parents=True)
    result = propensity(*ASK, "--out", "out")
    assert result.exit_code == 2
    assert "out/list.csv: cannot be written: Is a directory" in result.stderr
    assert left(tmp_path / "out") == ["list.csv"]


def test_an_out_that_is_a_file_is_named(propensity: Command, listed: Service, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    result = propensity(*ASK, "--out", "taken")
    assert result.exit_code == 2
    assert "taken: cannot be made" in result.stderr


def test_lists_are_listed_and_one_is_shown(propensity: Command, service: Service) -> None:
    one = {"export": "service-1", "at": "2025-07-01", "model": "service", "destination": "[bold]crm", "ready": True}
    service.on("GET /v1/tenants/dealer_01/exports", Answer({"tenant_id": "dealer_01", "exports": [one]}))
    service.on(GET, Answer(ready(service, "list.csv")))
    assert "[bold]crm" in propensity("exports", "dealer_01").stdout
    assert propensity.json("exports", "dealer_01")["answer"]["exports"] == [one]
    assert "1,234" in propensity("exports", "dealer_01", "service-1").stdout
    assert "url" not in propensity.json("exports", "dealer_01", "service-1")["answer"]["files"][0]
