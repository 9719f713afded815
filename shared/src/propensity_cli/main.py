"""The command `propensity`."""

from __future__ import annotations

import typer

from propensity_cli import backtests, files, lists, registry, reviews, scores

app = typer.Typer(
    name="propensity",
    help="Send files, pull lists, and see where models stand, over the API of a Propensity stack.",
    no_args_is_help=True,
    # a traceback with values could show customers and credentials
    pretty_exceptions_enable=False,
)
for part in (files, scores, lists, reviews, registry, backtests):
    part.register(app)
