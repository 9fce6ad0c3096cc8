import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundling.guardrails.guard import Guard
from groundling.guardrails.windows import GuardedStream, guarded
from tests.guardrails.test_guard import KEY, NO, YES, category, rules
from tests.scripted import ScriptedChat

LONG = "Leave is granted by the head of the team, as the handbook says. " * 8
CARD = "My card is 4111 1111 1111 1111, call 010-1234-5678."
PEM = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEabcdefgh0123456789XYZ+/ab\n" * 30
PEM += "-----END RSA PRIVATE KEY-----"
HIDING = rules(output={"personal": {"action": "redact"}})


async def stream(guarding, pieces, question=None):
    async def come():
        for piece in pieces:
            yield piece

    return [piece async for piece in guarded(come(), guarding, question)]


def pieces_of(text, size):
    return [text[place : place + size] for place in range(0, len(text), size)]


@pytest.mark.parametrize("size", [1, 3, 17, 1000])
@pytest.mark.parametrize("secret", [KEY, CARD, PEM], ids=["key", "card", "private-key"])
@pytest.mark.parametrize("before", ["", "짧은 말. ", LONG], ids=["none", "short", "long"])
async def test_a_secret_in_pieces_is_never_shown(size, secret, before):
    text = f"{before}{secret} and so on. {LONG}"
    shown = await stream(Guard(HIDING), pieces_of(text, size))
    assert "".join(shown) == Guard(HIDING).check_plain(text, "output")["text"]
    assert secret[5:20] not in "".join(shown)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from(["word ", "낱말은 ", "a@b.example ", f"{KEY} ", "\n\n", "1234 ", "x" * 90]),
        max_size=30,
    ),
    st.integers(1, 60),
)
def test_whatever_comes_is_shown_once_and_cleared(words, size):
    text = "".join(words)
    shown = asyncio.run(stream(Guard(HIDING), pieces_of(text, size)))
    assert "".join(shown) == Guard(HIDING).check_plain(text, "output")["text"]


async def test_text_comes_before_the_end():
    shown = await stream(Guard(), pieces_of(LONG, 5))
    assert len(shown) > 10
    assert "".join(shown) == LONG


async def test_a_pattern_that_blocks_stops_the_stream():
    blocking = rules(output={"secrets": {"action": "block"}})
    shown = "".join(await stream(Guard(blocking), pieces_of(f"{LONG}{KEY} {LONG}", 7)))
    assert KEY[:8] not in shown
    assert shown.startswith(LONG[:40])
    assert shown.endswith("was not let through. Take it out and ask again.")


async def test_the_model_judges_before_anything_is_shown():
    model = ScriptedChat()
    model.enqueue_choice(YES, category("S1"))
    shown = await stream(Guard(model=model), pieces_of(LONG * 3, 9), "How?")
    assert "".join(shown).startswith("This was not answered")


async def test_a_judged_stretch_is_shown_and_a_later_one_may_still_be_blocked():
    model = ScriptedChat()
    model.enqueue_choice(NO, YES, category("S1"))
    stream_ = GuardedStream(Guard(model=model), question="How?", judged_every=200)
    shown = ""
    for piece in pieces_of(LONG, 10):
        shown += await stream_.feed(piece)
    assert stream_.is_blocked()
    assert LONG.startswith(shown)
    assert 0 < len(shown) <= 200
    assert await stream_.finish() == ""


async def test_an_empty_answer_stays_empty():
    assert await stream(Guard(), []) == []
