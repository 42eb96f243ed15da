"""Rung 4: the model card."""

from __future__ import annotations

from pathlib import Path

from data.bench.make import SIZE
from sarknowlip.models.card import RunFacts
from sarknowlip.models.model import SarKnowLIP

FACTS = RunFacts(
    recipe="tiny",
    objective="combined",
    data="Rotterdam 7",
    annotation="v0002",
    pairs=1234,
    steps=987,
    attributions=("© OpenStreetMap contributors, ODbL",),
    licence="cc-by-4.0",
    results={"recall_at_10": 0.123456},
)


def test_card_says_what_configuration_and_run_say(tmp_path: Path) -> None:
    model = SarKnowLIP.fresh(SIZE, 300)
    model.save_pretrained(tmp_path, run=FACTS)
    card = (tmp_path / "README.md").read_text("utf-8")
    parameters = sum(p.numel() for p in model.parameters())
    for words in (
        "license: cc-by-4.0\n",
        f"| parameters | {parameters:,} |",
        "| image | 32 × 32 pixels",
        "depth 2, width 32, 16 tokens, vocabulary 300",
        "| recipe | tiny |",
        "| pairs | 1234 |",
        "| steps | 987 |",
        "- © OpenStreetMap contributors, ODbL",
        "| recall_at_10 | 0.1235 |",
        "Weights: cc-by-4.0.",
        "24 dimensions",
    ):
        assert words in card


def test_card_is_kept_when_a_model_is_saved_again(tmp_path: Path) -> None:
    SarKnowLIP.fresh(SIZE, 300).save_pretrained(tmp_path / "a", run=FACTS)
    SarKnowLIP.from_pretrained(tmp_path / "a").save_pretrained(tmp_path / "b")
    assert (tmp_path / "a" / "README.md").read_bytes() == (
        tmp_path / "b" / "README.md"
    ).read_bytes()


def test_card_of_an_untrained_model_claims_nothing(tmp_path: Path) -> None:
    SarKnowLIP.fresh(SIZE, 300).save_pretrained(tmp_path)
    card = (tmp_path / "README.md").read_text("utf-8")
    assert "license: unknown\n" in card
    assert "Nothing is recorded of a training" in card
    assert "Results" not in card


def test_code_of_the_card_is_python(tmp_path: Path) -> None:
    SarKnowLIP.fresh(SIZE, 300).save_pretrained(tmp_path)
    card = (tmp_path / "README.md").read_text("utf-8")
    compile(card.split("```python\n")[1].split("```")[0], "card", "exec")
