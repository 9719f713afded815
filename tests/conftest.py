"""What several suites share: one moto server, emptied for each test that uses it."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Iterator

import pytest
from hypothesis import settings
from moto.server import ThreadedMotoServer

# no test is timed: on a busy machine an example takes longer than the 200 ms that hypothesis allows by itself
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# there is a worker per core: with more threads than cores, one training of trees took 110 s instead of 12
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("PYTHON_CPU_COUNT", "1")  # for DuckDB, in the workers and in the processes that they start


@pytest.fixture(scope="session")
def moto_server() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def moto(moto_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty account; boto3 and delta-rs find it in the environment."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_server)
    reset = urllib.request.Request(f"{moto_server}/moto-api/reset", method="POST")  # noqa: S310 - our own address
    urllib.request.urlopen(reset).close()  # noqa: S310 - our own address
    return moto_server


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The size of each function, wherever its test ran."""
    passed = [one for outcome in ("passed", "failed") for one in terminalreporter.getreports(outcome)]
    sizes = sorted(str(value) for one in passed for name, value in one.user_properties if name == "size")
    if sizes:
        terminalreporter.section("unzipped size of each function with its layers")
        for size in sizes:
            terminalreporter.write_line(size)
