"""Commands that show what a model is: what can grow in it, and what it was made by.

What works on models is imported where that is done, so that the help is there at once.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

import onnx_n2n
from onnx_n2n.cli.errors import ends_well
from onnx_n2n.cli.output import print_json, printing
from onnx_n2n.cli.pages import FORCE, as_html, check_page, write_page
from onnx_n2n.cli.streams import TRUST, graph, named, readable
from onnx_n2n.collector import still


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--clones", "for_clones", is_flag=True, help="Show redundant channels instead: exact copies of others.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
@as_html("what can grow")
@FORCE
@TRUST
@ends_well
def inspect(
    model: Path, *, for_clones: bool, as_json: bool, html: Path | None, force: bool, trust_remote_code: bool
) -> None:
    """Show what in MODEL can grow and where depth can be added, and for everything else why not."""
    from onnx_n2n.analysis.redundant import count_clones
    from onnx_n2n.cli import tables
    from onnx_n2n.cli.console import stages, terminal
    from onnx_n2n.depth.places import places
    from onnx_n2n.width.plan import ways

    check_page(html, force=force, others=(model,))
    with graph(model, trust_remote_code=trust_remote_code) as file, still():
        with stages(terminal()) as progress:
            progress("analysing")
            analysis = onnx_n2n.analyze(file)
            clones = count_clones(analysis) if for_clones else None
            depth = places(analysis)
            if html is not None:
                from onnx_n2n.reporting.page import page_of_model

                write_page(html, page_of_model(named(model)[0], analysis, depth), force=force, models=[analysis.model])
        with printing():
            # The table is what the command is for, so it can be piped; everybody else's text goes to stderr.
            console = terminal(stderr=False)
            if as_json:
                document = {"depth": depth.to_json()}
                document |= {} if clones is None else {"clones": clones.to_json()}
                print_json({"model": str(model), **analysis.to_json(ways(analysis)), **document})
            elif clones is None:
                tables.print_groups(console, analysis)
                tables.print_places(console, depth)
            else:
                tables.print_clones(console, clones)


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
@ends_well
def log(model: Path, *, as_json: bool) -> None:
    """Show what MODEL was made by: each pass with its options, and the digest of the model that it was given."""
    from onnx_n2n.cli.console import terminal
    from onnx_n2n.cli.logged import print_history
    from onnx_n2n.io.history import digest, history

    with readable(model) as file:
        opened = onnx_n2n.load(file)
        own = digest(opened)
    with printing():
        if as_json:
            entries = [asdict(entry) for entry in history(opened)]
            print_json({"model": str(model), "digest": own, "history": entries})
        else:
            print_history(terminal(stderr=False), history(opened), own)
