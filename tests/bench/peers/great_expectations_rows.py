"""The bench's eight rules as Great Expectations over pandas; run by `make bench-peers` in an environment of its own."""

import json
import resource
import sys
import time

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd

EXPECTATIONS = (
    gxe.ExpectColumnValuesToBeUnique(column="service_id"),
    gxe.ExpectColumnValuesToNotBeNull(column="customer_id"),
    gxe.ExpectColumnValuesToMatchRegex(column="vin", regex=r"^[A-HJ-NPR-Z0-9]{17}$"),
    gxe.ExpectColumnValuesToNotBeNull(column="visited_at"),
    gxe.ExpectColumnValuesToBeInSet(column="visit_kind", value_set=["maintenance", "repair", "recall"]),
    gxe.ExpectColumnValuesToBeBetween(column="odometer_km", min_value=0, max_value=1_000_000),
    gxe.ExpectColumnValuesToNotBeNull(column="amount"),
    gxe.ExpectColumnValuesToBeBetween(column="amount", min_value=0),
)


def validate(path: str) -> int:
    """How many values are not as expected. A value that cannot be cast is null."""
    frame = pd.read_csv(path, dtype=str)
    frame["visited_at"] = pd.to_datetime(frame["visited_at"], format="%Y-%m-%d %H:%M:%S", errors="coerce")
    for name in ("odometer_km", "amount"):
        frame[name] = pd.to_numeric(frame[name], errors="coerce")
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    batch = (
        context.data_sources.add_pandas("bench").add_dataframe_asset("rows").add_batch_definition_whole_dataframe("all")
    )
    suite = context.suites.add(gx.ExpectationSuite("eight", expectations=list(EXPECTATIONS)))
    found = batch.get_batch(batch_parameters={"dataframe": frame}).validate(suite)
    return sum(one.result["unexpected_count"] for one in found.results)


start = time.perf_counter()
failures = validate(sys.argv[1])
seconds = time.perf_counter() - start
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": seconds, "memory_mb": memory, "failures": failures}))
