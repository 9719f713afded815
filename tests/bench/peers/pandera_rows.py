"""The bench's eight rules as a pandera schema over polars; run by `make bench-peers` in an environment of its own."""

import json
import resource
import sys
import time

import pandera.polars as pa
import polars as pl

TYPES = {"odometer_km": pl.Int64, "amount": pl.Float64}
SCHEMA = pa.DataFrameSchema(
    {
        "service_id": pa.Column(str, unique=True),
        "customer_id": pa.Column(str),
        "vin": pa.Column(str, pa.Check.str_matches(r"^[A-HJ-NPR-Z0-9]{17}$"), nullable=True),
        "visited_at": pa.Column(pl.Datetime),
        "visit_kind": pa.Column(str, pa.Check.isin(["maintenance", "repair", "recall"]), nullable=True),
        "odometer_km": pa.Column(pl.Int64, pa.Check.in_range(0, 1_000_000)),
        "amount": pa.Column(pl.Float64, pa.Check.ge(0)),
    }
)


def validate(path: str) -> int:
    """How many failures. A value that cannot be cast is null, and so a failure."""
    texts = pl.read_csv(path, infer_schema=False)
    typed = texts.with_columns(
        pl.col("visited_at").str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="us"),
        *(pl.col(name).cast(kind, strict=False) for name, kind in TYPES.items()),
    )
    try:
        SCHEMA.validate(typed, lazy=True)
    except pa.errors.SchemaErrors as error:
        return len(error.failure_cases)
    return 0


start = time.perf_counter()
failures = validate(sys.argv[1])
seconds = time.perf_counter() - start
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": seconds, "memory_mb": memory, "failures": failures}))
