"""make up: keep a local stack running and say how to speak to it."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import sys
from pathlib import Path

from rich.console import Console

from tests.stack.stack import ROOT, USER, Stack, StackError, attach, start


def folder_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", type=Path, required=True, help="holds the stack's log and state")


USUAL = ROOT / "build/stack/up"


def given(folder: Path) -> str:
    """What a printed make command needs for this folder: without it the command would speak to the usual folder."""
    return "" if folder.resolve() == USUAL else f" FOLDER={shlex.quote(str(folder))}"


# the types of what people name by hand
NAMED = ("AWS::Lambda::Function", "AWS::StepFunctions::StateMachine", "AWS::S3::Bucket")


def variable(name: str) -> str:
    """The variable for a name of the template: START_DUE_RUNS for StartDueRuns."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper()


def write_environment(stack: Stack) -> Path:
    """A file for a shell to source: credentials of the local stack, and the names of what is in it.

    Every function, workflow and bucket of the template has a variable, such as START_DUE_RUNS for `StartDueRuns`.
    """
    # delta-rs refuses a plain http address unless AWS_ALLOW_HTTP allows it
    lines = {**USER, "AWS_REGION": USER["AWS_DEFAULT_REGION"], "AWS_ENDPOINT_URL": stack.endpoint}
    lines |= {"AWS_ALLOW_HTTP": "true"}
    lines |= {variable(name): deployed for name, deployed in stack.resources(*NAMED).items()}
    lines |= {
        "LANDING": stack.outputs["LandingBucket"],
        "LAKE": stack.outputs["LakeBucket"],
        "LOCAL_API": stack.api,
    }
    path = stack.folder / "env"
    path.write_text("".join(f"export {name}={value}\n" for name, value in lines.items()))
    return path


def main() -> int:
    parser = argparse.ArgumentParser(prog="make up", description=__doc__)
    parser.add_argument("--pack", required=True)
    folder_option(parser)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--json", action="store_true", help="print the address and the stack's outputs as JSON")
    options = parser.parse_args()
    console = Console(stderr=options.json, highlight=False, width=None if sys.stdout.isatty() else 140)
    folder = options.folder.resolve()
    stack = attach(folder)
    ran = stack is not None
    if stack is None:
        try:
            with console.status("starting and deploying"):
                stack = start(options.pack, folder, port=options.port)
        except StackError as error:
            console.print(f"failed: {error}", markup=False, soft_wrap=True)
            return 1
    elif stack.pack != options.pack:
        console.print(f"a stack with pack {stack.pack} is running; `make down{given(options.folder)}` ends it")
        return 1
    environment = write_environment(stack)
    if options.json:
        print(json.dumps({"endpoint": stack.endpoint, "pack": stack.pack, "outputs": stack.outputs}, indent=1))
        return 0
    if ran:
        where = given(options.folder)
        again = f"`make down{where}`, `make up PACK={stack.pack}{where}`"
        console.print(f"It ran already and is as it was: after a change of packs or code, {again}.\n", soft_wrap=True)
    where, sourced = given(options.folder), shlex.quote(os.path.relpath(environment))
    console.print(
        f"""The {stack.pack} stack answers on {stack.endpoint}

  source {sourced}  # credentials, $LANDING, $LAKE, $LOCAL_API, and every function and workflow
  .venv-stack/bin/aws --endpoint-url {stack.endpoint} s3 cp FILE s3://$LANDING/DATASET/tenant_id=TENANT/
  .venv-stack/bin/aws --endpoint-url {stack.endpoint} s3 ls --recursive s3://$LAKE/
  make watch{where}      # follow what the functions say from now on
  make why WHAT=…{where} # why a model, a run or a file is as it is
  make down{where}       # end it; its lake is not kept""",
        markup=False,
        soft_wrap=True,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
