"""The commands of the pages that people follow, for test_stack.py."""

from __future__ import annotations

import re

from tests.stack.stack import ROOT


def blocks() -> list[list[str]]:
    """The blocks of commands on the pages that people follow, in the order in which they are read."""
    # a pack of one's own is not there to check or serve; tests/functional/packs/test_first_pack.py follows that page
    start = sorted(path for path in (ROOT / "docs/start").glob("*.md") if path.name != "first-pack.md")
    pages = [ROOT / "README.md", *start, ROOT / "CONTRIBUTING.md"]
    text = "\n".join(page.read_text() for page in pages)
    found = re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [block.strip().splitlines() for block in found]


# commands that a test cannot run, and where they are run instead
ELSEWHERE = {
    "make test": "this is it",
    "make demo": "demo.run, by the fixture `ran`",
    "make bridge &": "needs Docker",
    ".venv-stack/bin/sam local invoke ValidateUpload -e events/validate_upload.json": "needs Docker",
    ".venv-stack/bin/sam deploy --guided --parameter-overrides Pack=automotive": "sam deploy, by the fixture `stack`",
}
