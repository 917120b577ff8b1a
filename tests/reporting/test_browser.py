"""Pages in a real browser: they open, show what is in them, search, load nothing, and run nothing that a model says."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest

from helpers.browser import browser, visit
from helpers.calling import MODELS, call, net
from helpers.evil import EVIL, evil
from helpers.needing import needs

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))  # its builder of long chains


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as found:
        yield found


def shown(chromium: Any) -> str:
    return str(chromium.execute_script("return document.body.innerText"))


def ask(chromium: Any, words: str) -> None:
    """Search, and wait until something is found or not."""
    field = "document.querySelector('input[type=search]')"
    chromium.execute_script(f"{field}.value = arguments[0]; {field}.dispatchEvent(new Event('input'))", words)
    chromium.execute_async_script("setTimeout(arguments[0], 250)")


def trouble(chromium: Any) -> list[str]:
    """Return what the browser complains of, and what it asked for besides the page."""
    said = [entry["message"] for entry in chromium.get_log("browser")]
    events = [json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
    asked = [each["params"]["request"]["url"] for each in events if each["method"] == "Network.requestWillBeSent"]
    return said + [url for url in asked if not url.endswith(".html") and not url.startswith("data:")]


def gpt2(path: Path) -> None:
    transformers = needs("transformers")
    from helpers.hugging import drawn, export

    small = {"n_layer": 2, "n_head": 4, "n_embd": 32, "vocab_size": 64, "n_positions": 16, "use_cache": False}
    config = transformers.GPT2Config(**small, attn_implementation="eager", bos_token_id=0, eos_token_id=0)
    export(drawn(lambda: transformers.GPT2LMHeadModel(config)), path)


def resnet(path: Path) -> None:
    path.write_bytes((MODELS / "resnet.onnx").read_bytes())


def chain(path: Path) -> None:
    from speed import chain

    onnx.save(chain(1200), path)


GRAPHS = {
    "resnet": (resnet, "stages.3", "stages.5.second.0.weight"),
    "gpt2": (gpt2, "h.1", "h.1.mlp.c_fc"),
    "chain of 1,200 nodes": (chain, "× 299", "conv600"),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_a_page_opens_and_finds_what_is_in_it(chromium: Any, tmp_path: Path, name: str) -> None:
    make, block, wanted = GRAPHS[name]
    make(tmp_path / "m.onnx")
    line = ("widen", tmp_path / "m.onnx", "--factor", 1.5, "-o", tmp_path / "w.onnx", "--no-verify")
    assert call(*line, "--html", tmp_path / "page.html").exit_code == 0
    visit(chromium, tmp_path / "page.html")
    text = shown(chromium)
    assert block in text
    for title in ("Layers", "Groups", "Pinned, and why", "Weights that differ", "Lineage"):
        assert title in text
    lines = chromium.execute_script("return document.querySelectorAll('.tree .line').length")
    assert lines < 400  # what is closed is not built
    ask(chromium, wanted)
    assert wanted in shown(chromium)
    assert "in Layers" in shown(chromium)
    ask(chromium, "no such thing anywhere")
    assert "Nothing found" in shown(chromium)
    ask(chromium, "")
    assert block in shown(chromium)
    assert trouble(chromium) == []


def test_every_node_can_be_reached_by_keyboard(chromium: Any, tmp_path: Path) -> None:
    resnet(tmp_path / "m.onnx")
    call("inspect", tmp_path / "m.onnx", "--html", tmp_path / "page.html")
    visit(chromium, tmp_path / "page.html")
    from selenium.webdriver.common.keys import Keys

    chromium.find_element("tag name", "body").send_keys("/")
    assert chromium.execute_script("return document.activeElement.type") == "search"
    last = "[...document.querySelectorAll('#layers summary')].filter(e => e.innerText.startsWith('stages.5'))[0]"
    chromium.execute_script(f"{last}.scrollIntoView()")
    chromium.execute_script(f"return {last}").send_keys(Keys.ENTER)
    chromium.execute_async_script("setTimeout(arguments[0], 100)")
    assert chromium.execute_script(f"return {last}.parentElement.open && {last}.parentElement.children.length > 1")
    everything = "for (let n = 0; n < 9; n++) document.querySelectorAll('details').forEach(e => { e.open = true; })"
    for _ in range(8):
        chromium.execute_script(everything)
        chromium.execute_async_script("setTimeout(arguments[0], 50)")
    text = shown(chromium)
    names = [node.name for node in onnx.load(MODELS / "resnet.onnx").graph.node]
    assert [name for name in names if name not in text] == []


@pytest.mark.parametrize("command", ["inspect", "diff", "verify", "widen"])
def test_names_that_are_markup_are_shown_and_never_run(chromium: Any, tmp_path: Path, command: str) -> None:
    onnx.save(evil(), tmp_path / "evil.onnx")
    onnx.save(net(), tmp_path / "net.onnx")
    line = {
        "inspect": ["evil.onnx"], "diff": ["net.onnx", "evil.onnx"], "verify": ["evil.onnx", "evil.onnx"],
        "widen": ["evil.onnx", "-o", "out.onnx", "--no-verify"],
    }[command]  # fmt: skip
    paths = [each if each.startswith("-") else tmp_path / each for each in line]
    assert call(command, *paths, "--html", tmp_path / "page.html").exit_code == 0
    visit(chromium, tmp_path / "page.html")
    ask(chromium, "onerror")
    assert EVIL in shown(chromium)
    assert chromium.execute_script("return document.images.length + document.scripts.length") == 2
    assert trouble(chromium) == []


@pytest.mark.parametrize("width", [360, 1280])
def test_a_page_fits_the_window(tmp_path: Path, width: int) -> None:
    resnet(tmp_path / "m.onnx")
    call("deepen", tmp_path / "m.onnx", "-o", tmp_path / "d.onnx", "--no-verify", "--html", tmp_path / "page.html")
    with browser(width, dark=width < 500) as chromium:
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                 {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": True})  # fmt: skip
        visit(chromium, tmp_path / "page.html")
        assert chromium.execute_script("return document.documentElement.scrollWidth") <= width
        colour = chromium.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (colour == "rgb(255, 255, 255)") == (width > 500)
