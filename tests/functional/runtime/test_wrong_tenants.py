"""Every route with a tenant in its path, asked with a tenant whose rows, files and scores are not the caller's to see.

IAM decides who may name which tenant. What is held here: an answer is about the tenant of the path alone, whatever else
the call names, and a 404 says neither where things are stored nor what another tenant has.
"""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest

from propensity.ingest.promote_silver import BronzeFile, promote_silver
from propensity.ports import OnlineScore
from propensity.registry.versions import register
from propensity.runtime import composition
from tests.kit.api_inputs import routes
from tests.kit.handlers import CONTEXT, event, handler, lake_keys, land, messages
from tests.kit.registries import crown

OWNER, CUSTOMER = "dealer_01", "C0034804"
OTHERS = ("dealer_02", "dealer_0", "dealer_011", "DEALER_01", "nobody")  # dealer_02 has a record, and no rows
DAY = "2025-07-01"
# what a caller of another tenant would send, had it found out the owner's ids
ASKED = {
    "destination": "plain",
    "model": "buy",
    "customer_ids": [CUSTOMER],
    "customer_id": CUSTOMER,
    "day": DAY,
    "dataset": "sales",
    "file": "a.csv",
    "why": "w",
    "decision": "approve",
    "state": "active",
    "text": "sale_id\n",
}
FIELDS = {
    "/v1/tenants/{tenant}": ("state", "why"),
    "/v1/tenants/{tenant}/scores": ("model", "customer_ids"),
    "/v1/tenants/{tenant}/explanations": ("model", "customer_id", "day"),
    "/v1/tenants/{tenant}/uploads": ("dataset", "file"),
    "/v1/tenants/{tenant}/checks": ("dataset", "file", "text"),
    "/v1/tenants/{tenant}/retractions": ("content_id", "why"),
    "/v1/tenants/{tenant}/exports": ("model", "destination"),
    "/v1/tenants/{tenant}/exports/{export}/recall": ("why",),
    "/v1/tenants/{tenant}/reviews": ("model", "customer_ids", "decision", "why"),
}
NAMED = {"day": DAY, "export": "buy-0123456789abcdef"}
# the routes that write come last, because a record changes what the others answer
OF_A_TENANT = sorted((route for route in routes() if "{tenant}" in route[2]), key=lambda route: route[1] == "PUT")


@pytest.fixture
def owned(aws: SimpleNamespace) -> dict[str, Any]:
    """An account in which one tenant has a file, rows, a record and a published score; its file's content id."""
    land(aws)
    handler("validate_upload")(event("validate_upload"), CONTEXT)
    [told] = messages(aws, "PROMOTE_QUEUE_URL")
    ports = composition.ports()
    promote_silver(ports, [BronzeFile.parse(told)])
    # a version without files, so that the scores are those that were published
    crown(ports.lake, "buy", register(ports.lake, "buy", {}, {"run": "r", "as_of": DAY}).number)
    score = OnlineScore(OWNER, CUSTOMER, "buy", 1, 0.875, 99, 10, DAY, "r", "f", b"", ("drove 87500 km",))
    ports.online.put_many([score])
    for tenant in (OWNER, "dealer_02"):
        sent = event("manage_tenants") | {"pathParameters": {"tenant": tenant}}
        assert handler("manage_tenants")(sent, CONTEXT)["statusCode"] == 200
    return {"content_id": told["content_id"]}


def ask(folder: str, method: str, path: str, tenant: str, owned: dict[str, Any]) -> tuple[int, str]:
    body = {name: value for name, value in {**ASKED, **owned}.items() if name in FIELDS.get(path, ())}
    sent = event("manage_tenants") | {"httpMethod": method, "resource": path, "body": json.dumps(body)}
    sent["pathParameters"] = {
        "tenant": tenant,
        **{name: value for name, value in NAMED.items() if f"{{{name}}}" in path},
    }
    answer = handler(folder)(sent, CONTEXT)
    return answer["statusCode"], answer["body"]


def test_the_walk_has_every_route_of_a_tenant() -> None:
    assert len(OF_A_TENANT) == 18
    assert {path for _, _, path in OF_A_TENANT} >= set(FIELDS)


@pytest.mark.parametrize("tenant", OTHERS)
def test_no_route_of_another_tenant_answers_with_what_is_the_owner_s(
    aws: SimpleNamespace, owned: dict[str, Any], tenant: str
) -> None:
    secrets = [OWNER, "0.875", "87500", "31999", "1HGCM82633A004352", "sample.csv"]
    statuses: dict[str, int] = {}
    for folder, method, path in OF_A_TENANT:
        status, said = ask(folder, method, path, tenant, owned)
        statuses[f"{method} {path}"] = status
        if path.endswith("/explanations"):
            assert json.loads(said)["held"] is None
        assert status < 500
        for secret in (*secrets, "s3://", "arn:aws:s3:::lake"):
            assert secret not in said.replace(tenant, ""), (method, path, said)
        if status == 404:
            named = [key for key in lake_keys(aws, "") if key in said]
            assert named == [], (path, said)
            assert not re.search(r"bronze/|silver/|registry/|validation/|(?<!/v1/)(runs|tenants)/|tenant_id=", said), (
                said
            )
    known = tenant == "dealer_02"
    assert statuses["GET /v1/tenants/{tenant}"] == (200 if known else 404)
    assert statuses["POST /v1/tenants/{tenant}/scores"] == (200 if known else 404)
    assert statuses["POST /v1/tenants/{tenant}/retractions"] == 404
    assert not any(key.startswith("retractions/") for key in lake_keys(aws, ""))


def test_the_owner_gets_what_the_others_do_not(aws: SimpleNamespace, owned: dict[str, Any]) -> None:
    answers = {f"{method} {path}": ask(folder, method, path, OWNER, owned) for folder, method, path in OF_A_TENANT}
    assert "0.875" in answers["POST /v1/tenants/{tenant}/scores"][1]
    assert '"rows": 2' in answers["GET /v1/tenants/{tenant}"][1]
    assert answers["POST /v1/tenants/{tenant}/retractions"][0] == 200
