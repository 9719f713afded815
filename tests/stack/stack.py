"""The whole stack on this machine: a local AWS (MiniStack) and the real template deployed into it.

Only template.yaml describes the stack; nothing here does. Everything listens on the loopback address only.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from tests.stack import approvers, layers

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / ".aws-sam/build"
REGION = "us-east-1"
NAME = "propensity"
LOOPBACK = "127.0.0.1"
# each queue, and the dead-letter queue of what keeps failing
DEAD_LETTERS = {"UploadQueue": "UploadDeadLetters", "PromoteQueue": "PromoteDeadLetters"}
# MiniStack's own root user; it exists on this machine only, and only while the stack runs
USER = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_DEFAULT_REGION": REGION}


class StackError(RuntimeError):
    """The stack did not start, or something in it failed. The message says where to look."""


@dataclass
class Stack:
    """A running stack. `folder` holds its log and state; `outputs` are the outputs of the template."""

    folder: Path
    endpoint: str
    pid: int
    pack: str
    outputs: dict[str, str]
    read_to: int = 0  # how far the log was searched for errors
    errors_expected: bool = False

    @cached_property
    def session(self) -> Any:
        return boto3.session.Session(
            aws_access_key_id=USER["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=USER["AWS_SECRET_ACCESS_KEY"],
            region_name=REGION,
        )

    def client(self, service: str) -> Any:
        config = Config(
            s3={"addressing_style": "path"}, retries={"max_attempts": 3}, read_timeout=900, max_pool_connections=20
        )
        return self.session.client(service, endpoint_url=self.endpoint, config=config)

    @cached_property
    def s3(self) -> Any:
        return self.client("s3")

    @cached_property
    def sqs(self) -> Any:
        return self.client("sqs")

    @cached_property
    def step_functions(self) -> Any:
        return self.client("stepfunctions")

    @cached_property
    def functions(self) -> Any:
        return self.client("lambda")

    def invoke(self, function: str, payload: dict[str, Any]) -> Any:
        """Invoke the function that this output names. StackError where it fails."""
        answer = self.functions.invoke(FunctionName=self.outputs[function], Payload=json.dumps(payload))
        body = json.loads(answer["Payload"].read() or b"null")
        if answer.get("FunctionError"):
            raise StackError(f"{function} failed: {json.dumps(body)[:2000]}")
        return body

    @property
    def api(self) -> str:
        """The API's address here; in AWS it is the output ApiUrl."""
        return f"{self.endpoint}/_aws/execute-api/{self.outputs['ApiId']}/live"

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        signed: bool = True,
        credentials: Credentials | None = None,
    ) -> tuple[int, Any]:
        """Call the API as its users do, over HTTP, with or without a signature; status and decoded body.

        `credentials` are those of who signs; by default the stack's own user signs.
        """
        data = b"" if body is None else json.dumps(body).encode()
        status, text = self.send(method, path, data, signed=signed, credentials=credentials)
        return status, json.loads(text or "null")

    def send(
        self, method: str, path: str, data: bytes, *, signed: bool = True, credentials: Credentials | None = None
    ) -> tuple[int, str]:
        """`call` with a body of any bytes; status and text."""
        url = f"{self.api}{path}"
        request = AWSRequest(method=method, url=url, data=data, headers={"Content-Type": "application/json"})
        if signed:
            SigV4Auth(credentials or self.session.get_credentials(), "execute-api", REGION).add_auth(request)
        sent = urllib.request.Request(url, data=data or None, headers=dict(request.headers), method=method)  # noqa: S310 - our own address
        try:
            with urllib.request.urlopen(sent, timeout=60) as answer:  # noqa: S310 - our own address
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def names(self) -> dict[str, str]:
        """For each function's name in the template its deployed name."""
        return self.resources("AWS::Lambda::Function")

    def resources(self, *kinds: str) -> dict[str, str]:
        """For each name in the template the name of the deployed resource, of these types or of all."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=NAME)
        found = [one for page in pages for one in page["StackResourceSummaries"]]
        wanted = [one for one in found if not kinds or one["ResourceType"] in kinds]
        return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in wanted}

    def redrive(self, queue: str) -> int:
        """Move the messages of a queue's dead-letter queue back to the queue; how many.

        This is `aws sqs start-message-move-task` by receive and send, for MiniStack has no such action.
        """
        moved = 0
        source, target = self.outputs[DEAD_LETTERS[queue]], self.outputs[queue]
        while found := self.sqs.receive_message(QueueUrl=source, MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                self.sqs.send_message(QueueUrl=target, MessageBody=message["Body"])
                self.sqs.delete_message(QueueUrl=source, ReceiptHandle=message["ReceiptHandle"])
                moved += 1
        return moved

    def redelivery(self, queue: str, *, seconds: int, receives: int) -> dict[str, str]:
        """Set after how many seconds a queue delivers again, and how often at most; the attributes before."""
        url, names = self.outputs[queue], ["VisibilityTimeout", "RedrivePolicy"]
        before: dict[str, str] = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        policy = {**json.loads(before["RedrivePolicy"]), "maxReceiveCount": receives}
        attributes = {"VisibilityTimeout": str(seconds), "RedrivePolicy": json.dumps(policy)}
        self.sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
        return before

    def waiting(self, queue: str) -> int:
        """How many messages a queue holds, with those in flight and those delayed."""
        names = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
        found = self.sqs.get_queue_attributes(QueueUrl=self.outputs[queue], AttributeNames=names)["Attributes"]
        return sum(int(found.get(name, 0)) for name in names)

    def wait_for_queues(self, seconds: float) -> None:
        """Wait until every landed file is validated and promoted. StackError at the first dead letter."""

        def quiet() -> bool:
            for letters in DEAD_LETTERS.values():
                if self.waiting(letters):
                    raise StackError(f"a message is in {letters}; see {self.folder}/ministack.log\n{self.log_tail()}")
            return self.waiting("UploadQueue") + self.waiting("PromoteQueue") == 0

        self.wait(quiet, seconds, "the queues to be empty")

    def run(self, machine: str, name: str, payload: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Start an execution and wait for its end; its output."""
        self.step_functions.start_execution(stateMachineArn=self.outputs[machine], name=name, input=json.dumps(payload))
        return self.wait_for_execution(machine, name, seconds)

    def wait_for_execution(self, machine: str, name: str, seconds: float) -> dict[str, Any]:
        """Wait until the execution of this name has succeeded; its output. It need not have started yet."""
        arn = self.outputs[machine].replace(":stateMachine:", ":execution:") + f":{name}"
        found: dict[str, Any] = {}

        def ended() -> bool:
            try:
                found.update(self.step_functions.describe_execution(executionArn=arn))
            except self.step_functions.exceptions.ExecutionDoesNotExist:
                return False
            if found["status"] in ("FAILED", "TIMED_OUT", "ABORTED"):
                raise StackError(
                    f"execution {name} {found['status']}: {found.get('error')} {found.get('cause', '')[:2000]}"
                    f"{self._why(arn)}\n{self.log_tail()}"
                )
            return bool(found["status"] == "SUCCEEDED")

        self.wait(ended, seconds, f"execution {name}")
        output: dict[str, Any] = json.loads(found["output"])
        return output

    def _why(self, arn: str) -> str:
        """Why the first work item failed of each Map of an execution; a Map itself says only that too many did."""
        said = []
        for run in self.step_functions.list_map_runs(executionArn=arn)["mapRuns"]:
            listed = self.step_functions.list_executions(mapRunArn=run["mapRunArn"], statusFilter="FAILED")
            for item in listed["executions"][:1]:
                told = self.step_functions.describe_execution(executionArn=item["executionArn"])
                said.append(f"; the first item: {told.get('error')} {told.get('cause', '')[:1000]}")
        return "".join(said)

    def wait(self, done: Callable[[], bool], seconds: float, what: str) -> None:
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                raise StackError(f"gave up after {seconds:.0f} s waiting for {what}\n{self.log_tail()}")
            self._raise_logged()
            if not _alive(self.pid):
                raise StackError(f"the stack ended while waiting for {what}; see {self.folder}/ministack.log")
            time.sleep(0.2)  # another process, asked over HTTP: nothing can wake this one

    @contextmanager
    def expecting_errors(self) -> Iterator[None]:
        """An error that is logged inside this block ends no wait, neither inside nor later."""
        self.errors_expected = True
        try:
            yield
        finally:
            self.errors_expected = False
            self.read_to = (self.folder / "ministack.log").stat().st_size

    def _raise_logged(self) -> None:
        """End the wait where a function logs an error: its message would come back only after half an hour."""
        if self.errors_expected:
            return
        with (self.folder / "ministack.log").open(errors="replace") as log:
            log.seek(self.read_to)
            for line in log:
                if '"level":"ERROR"' in line and line.startswith("{"):
                    record = json.loads(line)
                    what = f"{record.get('error', '')} {record['message']}".strip()
                    where = "\n".join(record.get("where", ()))
                    raise StackError(f"{record.get('function_name', 'a function')}: {what}\n{where}")
            self.read_to = log.tell()

    def log_tail(self, lines: int = 30) -> str:
        text = (self.folder / "ministack.log").read_text(errors="replace")
        wanted = [line for line in text.splitlines() if "ERROR" in line or "WARN" in line or '"level":"ERROR"' in line]
        return "\n".join(line[:600] for line in wanted[-lines:])

    def down(self) -> None:
        if _alive(self.pid):
            os.killpg(self.pid, signal.SIGTERM)
            end = time.monotonic() + 10
            while _alive(self.pid) and time.monotonic() < end:
                time.sleep(0.05)
            if _alive(self.pid):
                os.killpg(self.pid, signal.SIGKILL)
        for name in ("tmp", "layers"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        forget(self.folder)


def start(pack: str, folder: Path, *, port: int | None = None, parameters: Mapping[str, str] | None = None) -> Stack:
    """Start MiniStack with an empty lake and deploy what `make build` built. Raises StackError.

    Without `port` it takes a free one. `parameters` are those of the template, besides Pack.
    """
    if port and not _is_free(port):
        raise StackError(f"port {port} of {LOOPBACK} is taken; give another one, e.g. `make up PORT=4570`")
    if not (BUILD / "template.yaml").exists():
        raise StackError(f"{BUILD}/template.yaml is missing; run `make build` first")
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "tmp").mkdir(parents=True)
    layers.link(BUILD, folder / "layers")
    port = port or free_port()
    endpoint = f"http://{LOOPBACK}:{port}"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))},
        **USER,
        "AUTH": "true",
        "BIND_HOST": LOOPBACK,
        "GATEWAY_PORT": str(port),
        "AWS_ENDPOINT_URL": endpoint,
        "TMPDIR": str(folder / "tmp"),
        layers.FOLDER: str(folder / "layers"),
        # without two servers that it would start on fixed ports
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "LAMBDA_STATE_TRANSITION_SECONDS": "0",
        "PYTHONUNBUFFERED": "1",
        # one thread of arithmetic for each process: several functions run at once, and on two cores the threads of
        # OpenMP would wait for each other (both models trained in 76 s with two threads, in 49 s with one)
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    log = (folder / "ministack.log").open("wb")
    # a session of its own, so that its functions' processes end with it
    process = subprocess.Popen(
        [ROOT / ".venv-stack/bin/ministack"],
        env=environment,
        cwd=folder,
        stdout=log,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    stack = Stack(folder, endpoint, process.pid, pack, {})
    try:
        stack.wait(lambda: _healthy(endpoint), 60, "MiniStack to answer")
        approvers.create(stack.client("iam"))
        # MiniStack does not give s3:if-none-match to its evaluator, so it would refuse every put
        settings = {"Pack": pack, "WriteOnce": "false", "RequireTls": "false", **approvers.ROLES, **(parameters or {})}
        stack.outputs = _deploy(stack, settings)
    except BaseException:
        stack.down()
        raise
    state = {"endpoint": endpoint, "pid": process.pid, "pack": pack, "outputs": stack.outputs}
    (folder / "stack.json").write_text(json.dumps(state, indent=1))
    return stack


def attach(folder: Path) -> Stack | None:
    """The stack that `start` left in this folder; None where it does not run any more."""
    try:
        state = json.loads((folder / "stack.json").read_text())
    except FileNotFoundError:
        return None
    if not (_alive(state["pid"]) and _healthy(state["endpoint"])):
        return None
    return Stack(folder, state["endpoint"], state["pid"], state["pack"], state["outputs"])


def forget(folder: Path) -> None:
    """Remove what lets people and commands speak to the folder's stack: a stale file would name another stack."""
    for name in ("stack.json", "env"):
        (folder / name).unlink(missing_ok=True)


def _deploy(stack: Stack, parameters: Mapping[str, str]) -> dict[str, str]:
    stack.s3.create_bucket(Bucket="artifacts")
    command = [
        str(ROOT / ".venv-stack/bin/sam"),
        "deploy",
        "--template-file",
        str(layers.packed(BUILD, ROOT / ".aws-sam/local")),
        "--stack-name",
        NAME,
        "--s3-bucket",
        "artifacts",
        "--capabilities",
        "CAPABILITY_IAM",
        "--region",
        REGION,
        "--no-confirm-changeset",
        "--no-progressbar",
        "--parameter-overrides",
        *(f"{name}={value}" for name, value in parameters.items()),
    ]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        **USER,
        "AWS_ENDPOINT_URL": stack.endpoint,
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_POLL_DELAY": "0.5",
    }
    with (stack.folder / "deploy.log").open("wb") as log:
        done = subprocess.run(command, env=environment, cwd=stack.folder, stdout=log, stderr=subprocess.STDOUT)
    if done.returncode:
        tail = (stack.folder / "deploy.log").read_text(errors="replace").splitlines()[-40:]
        raise StackError("sam deploy failed:\n" + "\n".join(tail))
    [found] = stack.client("cloudformation").describe_stacks(StackName=NAME)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def _healthy(endpoint: str) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=2) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _alive(pid: int) -> bool:
    # a child that has ended must be waited for, or it stays; for another's child this fails, which does not matter
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
