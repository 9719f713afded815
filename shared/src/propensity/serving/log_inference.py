"""log_inference: append the answers given on demand to gold/inference_log, once per request."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from propensity.kernel.sql_text import text
from propensity.lake.gold_tables import INFERENCE_LOG
from propensity.ports import Ports


def log_inference(ports: Ports, messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Append the scores of the messages in one commit, without the requests that the log holds already."""
    by_request = {str(message["request_id"]): message for message in messages}
    logged = ports.tables.committed(INFERENCE_LOG, by_request)
    fresh = [message for request, message in sorted(by_request.items()) if request not in logged]
    if not fresh:
        return {"files": 0, "rows": 0}
    with ports.sql() as sql:
        path = sql.scratch / "messages.json"
        path.write_text("\n".join(json.dumps(message) for message in fresh))
        # a message of an earlier release has no signer and no degraded_reason; both are then null
        scores = "STRUCT(customer_id VARCHAR, score DOUBLE, decile INTEGER, source VARCHAR, degraded_reason VARCHAR)[]"
        columns = (
            f"{{request_id: 'VARCHAR', answered_at: 'TIMESTAMPTZ', model: 'VARCHAR', model_version: 'INTEGER', "
            f"tenant_id: 'VARCHAR', signer: 'VARCHAR', scores: '{scores}'}}"
        )
        sql.execute(
            "create temp table answered as select request_id, answered_at, model, model_version, tenant_id, signer, "
            "unnest(scores, recursive := true) from "
            f"read_json({text(str(path))}, format = 'newline_delimited', columns = {columns})"
        )
        [(rows,)] = sql.rows("select count(*) from answered")
        ports.tables.append(
            INFERENCE_LOG,
            sql.stream("select * from answered"),
            transactions=[str(message["request_id"]) for message in fresh],
        )
    return {"files": len(fresh), "rows": int(rows)}
