"""A model card says what a model was made of, what is new in its config, and how it was verified."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from helpers.hubs import as_cache, small
from onnx_n2n.huggingface.card import card, name_of, verification
from onnx_n2n.huggingface.folder import opened


def test_a_card_says_what_became_of_a_model(tmp_path: Path) -> None:
    folder = opened(as_cache(small(tmp_path / "plain"), tmp_path / "models--me--toy--2"))
    fields = {"hidden_size": 12, "text_config.hidden_size": 6, "kinds": ["a|b"] * 2}
    said = card(folder, fields, 1234, 2468, "Verified.", "growth.record").split("\n\n")
    assert "out of `me/toy--2`, with 1,234 -> 2,468 parameters." in said[0]
    assert said[1] == "Verified."
    assert said[2].splitlines()[2:] == [
        "| `hidden_size` | 8 | 12 |", "| `text_config.hidden_size` | 4 | 6 |", '| `kinds` |  | ["a\\|b", "a\\|b"] |',
    ]  # fmt: skip
    assert "`growth.record` says what became of every weight" in said[3]
    assert len(card(folder, {}, 1, 1, "Verified.").split("\n\n")) == 2


def test_a_model_is_called_as_on_the_hub_or_as_its_folder(tmp_path: Path) -> None:
    assert name_of(Path("models--gpt2/snapshots/0123")) == "gpt2"
    assert name_of(tmp_path / "mine") == "mine"
    assert name_of(Path()) == Path.cwd().name


def test_verification_is_one_sentence() -> None:
    exact = SimpleNamespace(sentence="equal")
    run = SimpleNamespace(error=1.25e-7, rounding="rounding error 2e-7", provider="CPU")
    assert verification(None, exact) == "Verified, by the class with its new config: not run; exact check: equal."
    assert "error 1.2e-07, the teacher's rounding error 2e-7, on CPU; exact check: equal." in verification(run, exact)
