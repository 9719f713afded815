"""MLflow's pyfunc over a version's folder, from the features' file to a file of scores; run by `make bench-peers`."""

import json
import resource
import sys
import time

import mlflow.pyfunc
import pandas as pd

folder, features, out = sys.argv[1:]
# what a first call loads is no part of the seconds
mlflow.pyfunc.load_model(folder)
clock, cpu = time.perf_counter(), time.process_time()
model = mlflow.pyfunc.load_model(folder)
names = model.metadata.get_input_schema().required_input_names()
frame = pd.read_parquet(features, columns=["tenant_id", "customer_id", *names])
scores = model.predict(frame[names])
frame[["tenant_id", "customer_id"]].assign(score=scores["probability"]).to_parquet(out, compression="zstd")
seconds, spent = time.perf_counter() - clock, time.process_time() - cpu
print(
    json.dumps(
        {
            "seconds": seconds,
            "cpu": spent,
            "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "rows": len(frame),
        }
    )
)
