"""make down: end the local stack that make up started."""

from __future__ import annotations

import argparse
import sys

from tests.stack.stack import attach, forget
from tests.stack.up import folder_option


def main() -> int:
    parser = argparse.ArgumentParser(prog="make down", description=__doc__)
    folder_option(parser)
    folder = parser.parse_args().folder.resolve()
    stack = attach(folder)
    if stack is None:
        forget(folder)  # of a stack that ended by itself
        print("no stack is running")
        return 0
    stack.down()
    print(f"the stack on {stack.endpoint} has ended")
    return 0


if __name__ == "__main__":
    sys.exit(main())
