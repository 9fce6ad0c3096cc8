"""Translation, block by block, so that length and layout are kept."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

from groundling.graphs.nodes.tasks.asking import compose
from groundling.graphs.nodes.tasks.pieces import budget, pieces
from groundling.graphs.nodes.tasks.state import Answer, State
from groundling.graphs.resources import Resources
from groundling.models.prompts import language_of

LANGUAGES = {
    "en": "English", "ko": "Korean", "ja": "Japanese", "zh": "Chinese", "de": "German",
    "fr": "French", "es": "Spanish", "it": "Italian", "pt": "Portuguese", "ru": "Russian",
    "vi": "Vietnamese", "th": "Thai", "ar": "Arabic",
}  # fmt: skip
_BLOCK = re.compile(r"(```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|\n[ \t]*\n\s*)", re.DOTALL)
_QUOTES = ("'", '"', "“", "”", "「", "」")
_FENCE = re.compile(r'^"{3,}\n?|\n?"{3,}$')


async def translate(state: State, resources: Resources) -> Answer:
    """Translate a text of any length; code blocks and blank lines stay as they are."""
    text = state["text"]
    target = language(state.get("to") or ("en" if language_of(text) == "ko" else "ko"))
    most = budget(resources) // 2  # the translation is about as long as the text

    async def one(block: str, is_text: bool) -> str:
        if not is_text:
            return block
        parts = pieces(block, resources.model, most)
        texts = await asyncio.gather(
            *(_translate(state, resources, part.text, target) for part in parts)
        )
        ends = [part.start for part in parts[1:]] + [len(block)]
        gaps = [block[part.end : end] for part, end in zip(parts, ends, strict=True)]
        lead = block[: parts[0].start] if parts else block
        return lead + "".join(text + gap for text, gap in zip(texts, gaps, strict=True))

    done = await asyncio.gather(*(one(block, is_text) for block, is_text in blocks(text)))
    translation = "".join(done)
    return {"result": {"translation": translation, "to": target}, "answer": translation}


async def _translate(state: State, resources: Resources, text: str, target: str) -> str:
    messages, used = compose(state, resources, "translate", text, to=target)
    reply = await resources.model.ainvoke(messages, used.quiet)
    return unquoted(reply.text, text)


def unquoted(reply: str, source: str) -> str:
    """Take off the quotation marks that a model puts around a translation by itself."""
    bare = _FENCE.sub("", _FENCE.sub("", reply.strip())).strip()
    if bare[:1] in _QUOTES and bare[-1:] in _QUOTES and source.strip()[:1] not in _QUOTES:
        return bare[1:-1].strip() or bare
    return bare


def language(name: str) -> str:
    """Return the English name of a language, given as a code or a name."""
    return LANGUAGES.get(name.strip().casefold()[:2] if len(name.strip()) <= 5 else "", name)


def blocks(text: str) -> Iterator[tuple[str, bool]]:
    """Yield a text's blocks with whether there is something to translate; joined, the text."""
    for place, block in enumerate(_BLOCK.split(text)):
        if block:
            has_words = any(character.isalpha() for character in block)
            yield block, place % 2 == 0 and has_words
