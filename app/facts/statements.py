"""What of an answer states something: the rules that need no model.

Code, headings, links and citation markers are blanked out at their places, so offsets
stay those of the answer. What is left is cut into sentences, and each is told to be a
question, a phrase of politeness, an opinion, or a statement that may be checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from groundling.facts.spans import MARKER
from groundling.knowledge.citations import sentences

Kind = Literal["statement", "question", "phrase", "opinion", "long", "uncertain"]

LONGEST = 600  # characters of a sentence that a source is asked about
_BLANKED = re.compile(
    r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)"  # code
    r"|^[ \t]*#{1,6}[ \t][^\n]*$"  # headings
    r"|^[ \t|:+-]*-{3}[ \t|:+-]*$"  # rules, of tables too
    r"|\((?:https?://|mailto:)[^\s)]+\)|https?://\S+",
    re.MULTILINE | re.DOTALL,
)
_EQUATION = re.compile(r"[\d)%]\s*[=≈≠<>≤≥]|[=≈]\s*[-−$₩]?\d")
_QUESTION = re.compile(r"[?？][\"'”’)\]]*$|(?:니까|나요|까요|은가요|인가요)[.?？]?$")
_PHRASE = re.compile(
    r"^(?:(?:yes|no|ok(?:ay)?|sure|great|certainly|absolutely|of course|네|예|물론입니다)[,.! ]*$"
    r"|(?:hello|hi|hey|sure|certainly|of course|absolutely|sorry)\b[,.!]"
    r"|(?:thank you|thanks|you(?:'|’)?re welcome|i hope|i(?:'|’)m sorry|i apologi[sz]e|let me"
    r"|let(?:'|’)s|please|feel free|here (?:is|are)\b[^.]*:|i (?:do not|cannot|can(?:'|’)t"
    r"|don(?:'|’)t)|as an ai|not in these documents|if you have)\b"
    r"|안녕하|감사(?:합|드)|고맙습|죄송|도움이 (?:되|필요)|궁금한|추가로 궁금|알겠습니다"
    r"|이 문서들에는 없는)",
    re.IGNORECASE,
)
_OPINION = re.compile(
    r"\b(?:i (?:think|believe|feel|guess|prefer|would|recommend|suggest)|in my (?:opinion|view)"
    r"|personally|it seems|you may want|hopefully)\b"
    r"|제 생각|저는 .*(?:생각|느낍|추천)|것 같(?:습니다|아요|다)"
    r"|(?:좋겠|바랍니다|추천합니다|권합니다|듯합니다)",
    re.IGNORECASE,
)
# Something that a source could look up: a figure, a name inside the sentence, a quotation.
_NAMED = re.compile(r"\d|(?<=[\w,] )[A-Z][\w&]+|[\"“「『《〈]|\b[A-Z]{2,}\b")
# A pronoun where a sentence names its subject; further in, it mostly means something in it.
_LEANS = re.compile(
    r"^(?:(?:in|on|at|by|since|after|before|during|from|until|when|while|if|as|then|later|also"
    r"|however|but|and|so|thus|today|now|yes|no)\b[^,;]{0,25}?,?\s+)?(?:it|they|he|she)\b"
    r"|^(?:[\w'’-]+,?\s+)?(?:its|their|his|her)\b"
    r"|^(?:\w+,?\s+)?(?:this|that|these|those|such|both|the (?:former|latter|same))\b"
    r"|(?:^|[\s,(])(?:그|이|저)(?:는|가|를|의|것|것은|것이|들은|들이|에|로|와|때|곳|녀는|녀가|후|중)?\s"
    r"|(?:^|\s)(?:해당|전자|후자|여기|거기|이들|그들|그녀|이것|그것|이때|그때|이곳|그곳)",
    re.IGNORECASE,
)
_JOINED = re.compile(
    r"[;；]|,\s*(?:and|but|while|whereas|which|who|although|though|so)\b"
    r"|\b(?:and|but|while|whereas)\s+(?:the|it|they|he|she|its?|is|was|has|had|are|were)\b"
    r"|[가-힣](?:고|며|으나|지만|는데|면서)[,\s]\s*(?=\S+.*[가-힣])|(?:그리고|하지만|그러나|또한)\s"
    r"|\|",
    re.IGNORECASE,
)
_TOPIC = re.compile(r"[가-힣\w)](?:은|는|이|가|에서는|에는)\s")
_CUT = re.compile(
    r"(?:[,;]\s*(?:and|so|then|thus|therefore|그리고|따라서)?\s+|\s+(?:and|so)\s+)(?=\S)"
)


@dataclass(frozen=True)
class Statement:
    """A sentence of an answer: `answer[start:end]`, its plain text, and what it is.

    `alone` tells that it states one thing and leans on nothing around it.
    """

    start: int
    end: int
    text: str
    kind: Kind
    alone: bool


def statements(answer: str) -> Iterator[Statement]:
    """Yield the sentences of an answer that are prose, with the kind of each."""
    for sentence in sentences(blank(answer)):
        for start, end in _equations(sentence.text):
            text = plain(answer[sentence.start + start : sentence.start + end])
            if any(sign.isalnum() for sign in text):
                first, last = sentence.start + start, sentence.start + end
                yield Statement(first, last, text, kind_of(text), is_alone(text))


def blank(answer: str) -> str:
    """Overwrite with spaces what is no prose; lines and offsets stay."""
    return _BLANKED.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), answer)


def plain(text: str) -> str:
    """Take citation markers and emphasis out of a sentence."""
    text = re.sub(r"(\*\*|__|`)(?=\S)(.+?)\1", r"\2", MARKER.sub("", text))
    return " ".join(text.split())


def kind_of(text: str) -> Kind:
    """Tell what a sentence is; `uncertain` is for a model to decide."""
    if len(text) > LONGEST:
        return "long"
    if _EQUATION.search(text):
        return "statement"
    if _QUESTION.search(text):
        return "question"
    if _OPINION.search(text):
        return "opinion"
    phrase = _PHRASE.match(text)
    if text.endswith((":", "：")) or (phrase and not _NAMED.search(text[phrase.end() :])):
        return "phrase"
    return "statement" if _NAMED.search(text) else "uncertain"


def is_alone(text: str) -> bool:
    """Tell whether a sentence states one thing, about something that it names itself."""
    if _EQUATION.search(text):
        return True
    if _LEANS.search(text) or _JOINED.search(text) or len(text) > LONGEST // 3:
        return False
    korean = any("가" <= sign <= "힣" for sign in text)
    return bool(_TOPIC.search(text)) if korean else len(text.split()) > 2


def _equations(text: str) -> list[tuple[int, int]]:
    """Cut a sentence with several equations between them; any other is one piece."""
    cuts, begin = [], 0
    for match in _CUT.finditer(text):
        left, right = text[begin : match.start()], text[match.end() :]
        if _EQUATION.search(left) and _EQUATION.search(right):
            cuts.append((begin, match.start()))
            begin = match.end()
    return [*cuts, (begin, len(text))]
