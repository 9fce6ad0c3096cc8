"""From text to index terms, for English, Korean, Chinese and Japanese.

One analyser serves documents and questions:

- everything is brought to NFC and case-folded;
- English words lose their endings (Snowball) and stop words are dropped;
- a run of Hangul becomes its character bigrams, because a Korean word carries its particles
  with it ("연차는", "연차를"): splitting at spaces loses 12 points of nDCG@10 on KorQuAD
  (82.4 against 94.5). Chinese characters and kana, which have no spaces, likewise;
- numbers and identifiers stay whole and also give their parts: "foo_bar-2" → foo_bar-2,
  foo, bar, 2; "1,000" → 1000.

Of a question only the words that name something are searched (`query_terms`): on 2,000
questions of KorQuAD that is 94.1 against 93.5 with all of them, in half the time.

The functions `analyse`, `query_terms` and `content_words` are the plain analyser's, which
needs no package of its own; `get` also offers the one that knows Korean morphemes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from importlib.util import find_spec
from threading import Lock
from typing import Protocol, cast

from groundling.errors import KnowledgeError

HANGUL = "가-힣ㄱ-ㆎᄀ-ᇿ"
CJK = "㐀-䶿一-鿿豈-﫿ぁ-ゖァ-ヺー々\U00020000-\U0003134f"

_RUN = re.compile(
    rf"(?P<hangul>[{HANGUL}]+)"
    rf"|(?P<cjk>[{CJK}]+)"
    rf"|(?P<word>[^\W_{HANGUL}{CJK}]+(?:[-_.,/'’:@+#&]*[^\W_{HANGUL}{CJK}]+)*(?:\+\+|\#)?)"
)
HANGUL_LETTER = re.compile(f"[{HANGUL}]")
_PART = re.compile(r"[^\W\d_]+|\d+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_DECIMAL = re.compile(r"\d+(?:\.\d+)?")

_STOPPED = """
    a about above after again against all am an and any are as at be because been before being
    below between both but by can could did do does doing down during each few for from further
    had has have having he her here hers herself him himself his how i if in into is it its
    itself just many me more most much my myself no nor not now of off on once only or other our
    ours ourselves out over own same she should so some such than that the their theirs them
    themselves then there these they this those through to too under until up very was we were
    what when where which while who whom why will with would you your yours yourself yourselves
    dont doesnt didnt isnt arent wasnt werent cant couldnt wouldnt shouldnt wont hasnt havent
    hadnt im ive youre youve weve theyre thats theres whats
"""
STOP_WORDS = frozenset(_STOPPED.split())

# What is cut off the end of a Korean word in a question: particles, and the endings of verbs.
_ENDINGS = (
    "으로부터|에서부터|에서는|에게서|으로서|으로써|이라는|이라고|라는|라고|까지|부터|에서|에게|한테|으로"
    "|처럼|보다|이나|이란|란|마다|조차|밖에|에는|에도|와의|과의|의|은|는|이|가|을|를|에|와|과|도|로|만|나"
    "|인가요|인가|입니까|입니다|인지|이며|나요|까요|니까|하나요|되나요|합니까|됩니까|했나요|한가요|하는|되는"
    "|했던|하였던|한|된|할|될|해야|하려면|하면|되면|요|야|지"
)
_ENDING = re.compile(rf"(?<=..)(?:{_ENDINGS})$")
# Words that ask or bind and nothing else: they say nothing about where the answer stands.
_EMPTY = re.compile(
    rf"(?:무엇|무슨|뭐|뭘|누구|누|언제|어디|어느|어떤|어떻게|얼마|몇|왜|것|수|때|그|이|저|및|또는|그리고"
    rf"|대해|대한|관한|관해|위해|위한|있|없|하|되|알려|말해|설명해)"
    rf"(?:주세|줘|습니|은지|는지|을까|다고|다는|{_ENDINGS})*"
)


class _Stemmer(Protocol):
    def stemWord(self, word: str) -> str: ...


class Analyser:
    """Makes terms; this one, the plain one, from the characters alone.

    Others add terms of their own by overriding `batch` and `content_words`.

    Attributes:
        name: what made stored terms: a kind and its version. Terms of two names do not mix.
    """

    name = "plain/1"

    def terms(self, text: str) -> list[str]:
        """Return the terms of a text, in order and with repetitions."""
        [terms] = self.batch([text])
        return terms

    def batch(self, texts: Iterable[str]) -> Iterator[list[str]]:
        """Yield the terms of many texts, in their order."""
        for text in texts:
            yield [term for run in runs(normal(text)) for term in run_terms(run)]

    def content_words(self, question: str) -> list[tuple[str, ...]]:
        """Return the terms of each word of a question that names something, each word once.

        Interrogatives go, and Korean particles and verb endings are cut off the ends of words
        (from a list, not by a morphological analysis), so that "연차는 며칠인가요" asks for
        연차 and 며칠 and not for 차는 or 인가.
        """
        words = (tuple(content_terms(run)) for run in runs(normal(question)))
        return list(dict.fromkeys(word for word in words if word))

    def query_terms(self, question: str) -> list[str]:
        """Return what to search for: the content words' terms, or all terms if there are none."""
        words = self.content_words(question)
        return [term for word in words for term in word] or self.terms(question)


PLAIN = Analyser()
analyse = PLAIN.terms
content_words = PLAIN.content_words
query_terms = PLAIN.query_terms


@cache
def get(name: str = "auto") -> Analyser:
    """Return the analyser of a name; always the same object for the same name.

    Args:
        name: "plain"; "kiwi", which adds Korean morphemes; "auto" takes kiwi where its
            package is installed. A version after a slash, as in `Analyser.name`, is ignored.

    Raises:
        KnowledgeError: there is none of that name, or its package is not installed.
    """
    kind = name.partition("/")[0]
    installed = find_spec("kiwipiepy") is not None
    if kind == "plain" or (kind == "auto" and not installed):
        return PLAIN
    if kind not in ("kiwi", "auto"):
        raise KnowledgeError(
            f"There is no analyser {name}.", hint="Take one of: auto, plain, kiwi."
        )
    if not installed:
        raise KnowledgeError(
            "The analyser kiwi needs a package that is not installed.",
            hint="pip install 'groundling[ko]', or take the analyser plain.",
        )
    from groundling.knowledge.morphemes import KiwiAnalyser

    return KiwiAnalyser()


def normal(text: str) -> str:
    """Return a text in NFC, which all offsets here are into."""
    return unicodedata.normalize("NFC", text)


def runs(text: str) -> Iterator[re.Match[str]]:
    """Yield the stretches of one script: what stands between spaces and changes of script."""
    return _RUN.finditer(text)


def run_terms(run: re.Match[str]) -> list[str]:
    """Return the terms of one run."""
    if run["hangul"] or run["cjk"]:
        return _bigrams(run.group())
    return list(_word_terms(run.group()))


def content_terms(run: re.Match[str]) -> list[str]:
    """Return the terms of one run of a question, without what only asks or binds."""
    if not run["hangul"]:
        return run_terms(run)
    if _EMPTY.fullmatch(run.group()):
        return []
    return _bigrams(_ENDING.sub("", run.group()))


def _bigrams(run: str) -> list[str]:
    return [run[i : i + 2] for i in range(len(run) - 1)] or [run]


@lru_cache(maxsize=1 << 16)
def _word_terms(word: str) -> tuple[str, ...]:
    plain = word.replace("’", "'").removesuffix("'s")
    if _GROUPED.fullmatch(plain):
        return (plain.replace(",", ""),)
    whole = unicodedata.normalize("NFC", plain.casefold())
    if _DECIMAL.fullmatch(whole):
        return (whole,)
    parts = [p.casefold() for p in _PART.findall(_CAMEL.sub(" ", plain))]
    if len(parts) <= 1:
        return tuple(_stems([whole]))
    if "'" in whole:  # don't, o'clock: one word
        return tuple(_stems([whole.replace("'", "")]))
    return (whole, *_stems(parts))


def _stems(words: list[str]) -> list[str]:
    return [_stem(word) for word in words if word not in STOP_WORDS]


def _stem(word: str) -> str:
    if not (word.isascii() and word.isalpha()):
        return word
    with _STEMMING:
        return _stemmer().stemWord(word)


_STEMMING = Lock()  # the stemmer keeps the word it is at work on in itself


@cache
def _stemmer() -> _Stemmer:
    import snowballstemmer

    return cast("_Stemmer", snowballstemmer.stemmer("english"))
