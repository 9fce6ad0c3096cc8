"""Claims and evidence with real models: SmolLM2 for the plumbing, Qwen for the verdicts."""

import asyncio

import pytest

from groundling.facts.checker import FactChecker
from groundling.facts.claims import find_claims
from groundling.facts.evidence import KnowledgeSource
from groundling.models.chat import ChatLlama
from tests.facts.fakes import passage

TEXT = (
    "The Nova phone was designed by Mina Park. It has a warranty of 24 months, which covers "
    "water damage. The battery is not covered."
)


def check(path, text, shown=TEXT):
    model = ChatLlama(model=str(path), context=2048)
    checker = FactChecker([KnowledgeSource(None, model)], model)

    async def go():
        checked = await checker.check(text, passages=[passage(shown)])
        return checked, await checker.revise(text, checked)

    return asyncio.run(go())


@pytest.mark.model
def test_a_small_model_gives_verdicts_with_quotations(smollm2):
    text = (
        "It has a warranty of 24 months and covers water. The Nova phone was designed by Mina Park."
    )
    checked, mended = check(smollm2, text)
    assert checked[-1]["verdict"] == "SUPPORTED"
    for claim in checked:
        assert text[claim["start"] : claim["end"]]
        assert not claim["evidence"] or claim["evidence"] in TEXT
    refuted = any(claim["verdict"] == "REFUTED" for claim in checked)
    assert refuted == (mended.text != text)


@pytest.mark.quality
def test_what_the_larger_model_makes_of_evidence(qwen):
    text = "Mina Park designed the Nova phone. The warranty covers the battery."
    checked, _ = check(qwen, text)
    assert [claim["verdict"] for claim in checked] == ["SUPPORTED", "REFUTED"]


@pytest.mark.quality
def test_what_the_larger_model_makes_of_korean_evidence(qwen):
    shown = "세종은 1397년에 한양에서 태어났다. 훈민정음은 1443년에 창제되었다."
    text = "세종은 한양에서 태어났다. 훈민정음은 1446년에 창제되었다."
    checked, _ = check(qwen, text, shown)
    assert [claim["verdict"] for claim in checked] == ["SUPPORTED", "REFUTED"]


@pytest.mark.quality
def test_the_larger_model_resolves_pronouns(qwen):
    answer = "The Nova phone has a warranty of 24 months. It covers water damage."
    model = ChatLlama(model=str(qwen), context=2048)
    found = asyncio.run(find_claims(answer, model, question="What does the warranty cover?"))
    assert "It" not in found.claims[1]["text"].split()
    assert answer[found.claims[1]["start"] : found.claims[1]["end"]].startswith("It covers water")
