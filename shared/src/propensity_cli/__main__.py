"""`python -m propensity_cli` is the command `propensity`."""

from __future__ import annotations

from propensity_cli.main import app

if __name__ == "__main__":
    app(prog_name="propensity")
