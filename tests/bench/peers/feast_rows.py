"""Feast's historical features out of a file store, as of one instant per customer; run by `make bench-peers`."""

import json
import resource
import sys
import time
from datetime import timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64

events, folder, as_of = sys.argv[1:]
customer = Entity(name="customer", join_keys=["customer"], value_type=ValueType.STRING)
source = FileSource(path=events, timestamp_field="visited_at")
view = FeatureView(
    name="visits",
    entities=[customer],
    ttl=timedelta(days=1_440),
    schema=[Field(name="amount", dtype=Float64), Field(name="declined_amount", dtype=Float64)],
    source=source,
)
store = FeatureStore(
    config=RepoConfig(
        project="bench",
        provider="local",
        registry=str(Path(folder) / "registry.db"),
        offline_store={"type": "file"},
        online_store={"type": "sqlite", "path": str(Path(folder) / "online.db")},
        entity_key_serialization_version=3,
    )
)
store.apply([customer, view])
people = pd.read_parquet(events, columns=["customer"]).drop_duplicates()
asked = people.assign(event_timestamp=pd.Timestamp(as_of, tz="UTC"))
clock, cpu = time.perf_counter(), time.process_time()
found = store.get_historical_features(entity_df=asked, features=["visits:amount", "visits:declined_amount"]).to_df()
seconds, spent = time.perf_counter() - clock, time.process_time() - cpu
print(
    json.dumps(
        {
            "seconds": seconds,
            "cpu": spent,
            "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "rows": len(found),
        }
    )
)
