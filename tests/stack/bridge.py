"""make bridge: let the containers of `sam local` reach the running stack, until interrupted.

A container cannot reach its host's loopback address, and SAM CLI leaves its containers on Docker's bridge
whatever `--docker-network host` says. So the bridge's own address on this machine is relayed to the stack,
for as long as this runs. Docker Desktop relays host.docker.internal itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
from ipaddress import ip_network
from urllib.parse import urlsplit

from tests.stack.stack import Stack, attach
from tests.stack.up import folder_option, given


def variables(stack: Stack, endpoint: str) -> dict[str, dict[str, str]]:
    """What `sam local invoke --env-vars` takes: each function's variables as deployed, with this address."""
    pages = stack.client("lambda").get_paginator("list_functions").paginate()
    deployed = {
        function["FunctionName"]: function.get("Environment", {}).get("Variables", {})
        for page in pages
        for function in page["Functions"]
    }
    return {logical: {**deployed[name], "AWS_ENDPOINT_URL": endpoint} for logical, name in stack.names().items()}


def gateway() -> str | None:
    """The host's address on Docker's bridge; None where Docker runs in a machine of its own."""
    if sys.platform != "linux":
        return None
    done = subprocess.run(["docker", "network", "inspect", "bridge"], capture_output=True, text=True, check=True)
    [network] = json.loads(done.stdout)
    config = network["IPAM"]["Config"][0]
    # without a configured gateway an engine takes the subnet's first address, and some engines do not say so
    return str(config.get("Gateway") or ip_network(config["Subnet"])[1])


async def relay(address: str, port: int) -> None:
    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while part := await reader.read(65_536):
                writer.write(part)
                await writer.drain()
        except ConnectionError as error:
            print(f"a connection ended early: {error}", file=sys.stderr)
        finally:
            writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, forth), pump(back, writer))

    async with await asyncio.start_server(connect, address, port) as server:
        await server.serve_forever()


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bridge", description=__doc__)
    folder_option(parser)
    folder = parser.parse_args().folder
    stack = attach(folder.resolve())
    if stack is None:
        print(f"no stack is running; `make up{given(folder)}` starts one", file=sys.stderr)
        return 1
    port = urlsplit(stack.endpoint).port
    assert port
    try:
        address = gateway()
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        print(f"Docker does not answer ({error}); sam local needs it", file=sys.stderr)
        return 1
    endpoint = f"http://{address or 'host.docker.internal'}:{port}"
    written = stack.folder / "sam-env.json"
    written.write_text(json.dumps(variables(stack, endpoint), indent=1))
    print(f"containers reach the stack on {endpoint}; {os.path.relpath(written)} is written", flush=True)
    if address is None:
        return 0
    try:
        asyncio.run(relay(address, port))
    except KeyboardInterrupt:
        print("ended")
    return 0


if __name__ == "__main__":
    sys.exit(main())
