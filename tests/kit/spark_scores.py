"""A script that uv runs in Spark's environment: it scores a table of features on local Spark with a version's folder.

Its one argument is a JSON object: `version` and `run` are folders, `features` and `out` are folders of Parquet files,
and `places` is SQL over a view `scored`, whose rows go to `placed`.
"""

from __future__ import annotations

import json
import sys


def main(folders: dict[str, str]) -> None:
    from pyspark.sql import SparkSession

    from propensity.runtime.record_batches import version_scorer

    build = SparkSession.builder.master("local[2]").appName("scores")
    for name, value in (
        ("spark.sql.shuffle.partitions", "5"),
        ("spark.sql.execution.arrow.maxRecordsPerBatch", "257"),
        ("spark.sql.session.timeZone", "Pacific/Auckland"),
        ("spark.driver.memory", "1g"),
        ("spark.driver.bindAddress", "127.0.0.1"),
        ("spark.driver.host", "127.0.0.1"),
        ("spark.ui.enabled", "false"),
    ):
        build = build.config(name, value)
    spark = build.getOrCreate()
    scorer = version_scorer(folders["version"], run=folders["run"])
    features = spark.read.parquet(folders["features"]).repartition(5, "customer_id")
    features.mapInArrow(scorer, scorer.ddl).write.parquet(folders["out"])
    spark.read.parquet(folders["out"]).createOrReplaceTempView("scored")
    spark.sql(folders["places"]).write.parquet(folders["placed"])
    spark.stop()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
