"""Pages of ``--html``: how large they are, how long a browser takes to open them, and how they look.

    python benchmarks/pages.py [--out benchmarks/results/pages-DATE.md] [--pictures docs/pictures]

Three models are widened by 1.5 with a page each: the golden ResNet, a GPT-2 (12 layers and 12 heads as the published
one, but 192 channels, 5,000 words, and drawn weights), and a chain of 5,000 nodes. Chromium opens each page from disk,
without a window, five times; times are those of its navigation timing, so they are wall time of a busy machine.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import onnx

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from speed import chain

from helpers.browser import browser, visit
from helpers.calling import call

ROOT = Path(__file__).parents[1]
TIMES = 5
SIZE = 1280, 1000
HEAD = """\
# Pages of `--html`

Made by `python benchmarks/pages.py`, which says what the models are. Each was widened by 1.5, the first two verified.
Chromium 156 opened each page from disk five times, on two cores that other jobs shared; the times are medians of wall
time from the request on. The page builds what is open, so the time hardly depends on the graph.
"""
TIMING = "const [t] = performance.getEntriesByType('navigation'); return [t.domContentLoadedEventEnd, t.loadEventEnd]"


def resnet(path: Path) -> None:
    """Copy the golden ResNet."""
    path.write_bytes((ROOT / "models" / "resnet.onnx").read_bytes())


def gpt2(path: Path) -> None:
    """Export a GPT-2."""
    import transformers

    from helpers.hugging import drawn, export

    config = transformers.GPT2Config(
        n_layer=12, n_head=12, n_embd=192, vocab_size=5000, n_positions=64, use_cache=False, attn_implementation="eager"
    )
    export(drawn(lambda: transformers.GPT2LMHeadModel(config)), path)


def long_chain(path: Path) -> None:
    """Write a chain of 5,000 nodes."""
    onnx.save(chain(5000), path)


MODELS: dict[str, Callable[[Path], None]] = {"resnet": resnet, "gpt2": gpt2, "chain-5000": long_chain}


def main() -> None:
    """Make the pages, open them, and write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--pictures", type=Path)
    arguments = parser.parse_args()
    lines = [
        "| model | nodes | page, bytes | DOMContentLoaded, ms | load, ms |", "|---|--:|--:|--:|--:|",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch, browser(*SIZE) as chromium:
        for name, make in MODELS.items():
            model, page = (Path(scratch) / f"{name}.{suffix}" for suffix in ("onnx", "html"))
            make(model)
            files = ("-o", model.with_suffix(".wider.onnx"), "--html", page)
            outcome = call("widen", model, "--factor", 1.5, *files, *["--no-verify"] * name.startswith("chain"))
            assert outcome.exit_code == 0, outcome.output
            found = []
            for _ in range(TIMES):
                visit(chromium, page)
                found.append(chromium.execute_script(TIMING))
            content, load = (statistics.median(each) for each in zip(*found, strict=True))
            nodes = len(onnx.load(model, load_external_data=False).graph.node)
            lines.append(f"| {name} | {nodes:,} | {page.stat().st_size:,} | {content:.0f} | {load:.0f} |")
            print(lines[-1], flush=True)
            if arguments.pictures:
                chromium.save_screenshot(str(arguments.pictures / f"page-{name}.png"))
    if arguments.out:
        arguments.out.write_text("\n".join([HEAD, *lines, ""]), "utf-8")


if __name__ == "__main__":
    main()
