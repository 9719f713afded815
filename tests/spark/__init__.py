"""Tests on local Spark, which uv fetches: `make spark`. They need Java 17, and are no part of `make test`."""
