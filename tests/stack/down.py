"""make down: end the local stack that make up started."""

from __future__ import annotations

import sys

from tests.stack.stack import attach
from tests.stack.up import FOLDER


def main() -> int:
    stack = attach(FOLDER)
    if stack is None:
        print("no stack is running")
        return 0
    stack.down()
    print(f"the stack on {stack.endpoint} has ended")
    return 0


if __name__ == "__main__":
    sys.exit(main())
