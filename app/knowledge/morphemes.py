"""Korean morphemes beside bigrams: kiwipiepy's analysis, an optional extra (`ko`).

A morpheme is one term whatever is joined to it: "걸었다", "걷는" and "걸어서" share 걷/v, and
"연차를" gives 연차/n. Nouns, verbs, adjectives, roots, adverbs, numerals and determiners are
kept; particles and endings are not. Bigrams stay, since names and new words are cut wrongly
at times. Each morpheme stands right behind the bigrams of its word, with a mark of its kind,
so that it never counts as one of them: without the mark KorQuAD loses 0.5 points of nDCG@10.

Kiwi (Lee 2024, https://github.com/bab2min/Kiwi, LGPL) runs offline. Its model takes about a
second to load and 300 MB of memory, so it is loaded for the first text with Hangul in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Any

from groundling.knowledge.analyser import (
    HANGUL_LETTER,
    Analyser,
    content_terms,
    normal,
    run_terms,
    runs,
)

if TYPE_CHECKING:
    import re

# The tags of the Sejong corpus that carry meaning. Latin, numbers and Chinese characters are
# the plain analyser's.
CONTENT_TAGS = ("NN", "NR", "VV", "VA", "XR", "MAG", "MM")
# Texts analysed at a time, on all cores: enough to keep them busy.
BATCH = 64

# Where a morpheme begins in the text, and its term.
Located = tuple[int, str]


class KiwiAnalyser(Analyser):
    """The plain terms, and after those of a Korean word its morphemes. Safe for threads."""

    name = "kiwi/1"

    def __init__(self) -> None:
        self._analysing = Lock()

    def batch(self, texts: Iterable[str]) -> Iterator[list[str]]:
        """Yield the terms of many texts, in their order."""
        remaining = map(normal, texts)
        while batch := list(islice(remaining, BATCH)):
            for text, morphemes in zip(batch, self._morphemes(batch), strict=True):
                yield [
                    term
                    for run, found in _by_run(text, morphemes)
                    for term in (*run_terms(run), *found)
                ]

    def content_words(self, question: str) -> list[tuple[str, ...]]:
        """Return the terms of each word that names something: bigrams, then morphemes."""
        text = normal(question)
        [morphemes] = self._morphemes([text])
        words = []
        for run, found in _by_run(text, morphemes):
            if terms := content_terms(run):
                words.append((*terms, *found))
        return list(dict.fromkeys(words))

    def _morphemes(self, texts: Sequence[str]) -> list[list[Located]]:
        korean = [text for text in texts if HANGUL_LETTER.search(text)]
        if not korean:
            return [[] for _ in texts]
        with self._analysing:
            analysed = iter([_content(tokens) for tokens in self._kiwi.tokenize(korean)])
        return [next(analysed) if HANGUL_LETTER.search(text) else [] for text in texts]

    @cached_property
    def _kiwi(self) -> Any:
        from kiwipiepy import Kiwi

        # The dictionary of names of several words would take another 200 MB.
        return Kiwi(load_multi_dict=False)


def _content(tokens: Iterable[Any]) -> list[Located]:
    """Return the morphemes with a meaning; "걷" as a verb is 걷/v (full text folds case)."""
    return [
        (token.start, f"{token.form.replace(' ', '')}/{token.tag[0].lower()}")
        for token in tokens
        if token.tag.startswith(CONTENT_TAGS)
    ]


def _by_run(text: str, morphemes: Sequence[Located]) -> Iterator[tuple[re.Match[str], list[str]]]:
    """Yield the runs of a text, each with the morphemes that begin in it."""
    at = 0
    for run in runs(text):
        found = []
        while at < len(morphemes) and morphemes[at][0] < run.end():
            found.append(morphemes[at][1])
            at += 1
        yield run, found
