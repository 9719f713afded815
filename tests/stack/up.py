"""make up: keep a local stack running and say how to speak to it."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from pathlib import Path

from rich.console import Console

from tests.stack.stack import ROOT, USER, Stack, StackError, attach, start


def folder_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", type=Path, required=True, help="holds the stack's log and state")


USUAL = ROOT / "build/stack/up"
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
        console.print(f"a stack with pack {stack.pack} is running; `make down` ends it")
        return 1
    environment = write_environment(stack)
    if options.json:
        print(json.dumps({"endpoint": stack.endpoint, "pack": stack.pack, "outputs": stack.outputs}, indent=1))
        return 0
    if ran:
        console.print("It ran already and is as it was: after a change of packs or code, `make down`, `make up`.\n")
    # a command without the folder would speak to the stack of the usual folder, or to none
    given = "" if folder == USUAL else f" FOLDER={options.folder}"
    console.print(
        f"""The {stack.pack} stack answers on {stack.endpoint}

  source {os.path.relpath(environment)}  # credentials, $LANDING, $LAKE, $LOCAL_API, and every function and workflow
  .venv-stack/bin/aws --endpoint-url {stack.endpoint} s3 cp FILE s3://$LANDING/DATASET/tenant_id=TENANT/
  .venv-stack/bin/aws --endpoint-url {stack.endpoint} s3 ls --recursive s3://$LAKE/
  make watch{given}      # follow what the functions say from now on
  make why WHAT=…{given} # why a model, a run or a file is as it is
  make down{given}       # end it; its lake is not kept""",
        markup=False,
        soft_wrap=True,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
