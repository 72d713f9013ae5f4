"""The group `hearth eval`. It is imported only when one of its commands runs."""

from __future__ import annotations

import typer

from runtime.cli.eval.acts import accept, demote, hold, promote
from runtime.cli.eval.compare import compare
from runtime.cli.eval.importing import import_file
from runtime.cli.eval.reference import reference
from runtime.cli.eval.replay import replay
from runtime.cli.eval.report import report
from runtime.cli.eval.run import run
from runtime.cli.eval.sampled import forget, sample
from runtime.cli.eval.status import status
from runtime.cli.launch import HELP

app = typer.Typer(
    name="eval",
    no_args_is_help=True,
    add_completion=False,
    context_settings=HELP,
    help="Golden sets: your own prompts with checks, asked of every model, so that you see when one gets worse.\n\n"
    "\b\nExamples:\n  hearth eval run --target local\n  hearth eval run golden/facts.toml --fail-under 0.9 --junit out.xml",
)
for each in (run, reference, accept, status, report, compare, demote, promote, hold, replay, sample, forget):
    app.command()(each)
app.command("import")(import_file)
