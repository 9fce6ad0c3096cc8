"""Signs of prompt injection: a text that talks to the model as if it gave it orders.

Patterns over a plain copy of the text (characters without width, look-alike digits, wide
letters undone), over what is written in disguise (tag characters, base64, rot13, letters set
apart, digits for letters), in English and Korean. Each sign has a weight; together they score
1 - (1 - a)(1 - b)…

It is a signal and no wall: whoever knows the patterns writes around them, and a polite request
inside an e-mail has none of the signs. What holds is structure: see `untrusted`.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from groundling.guardrails.detector import Finding
from groundling.guardrails.plain import plain, scan

_EN_THING = (
    r"(?:instruction|prompt|rule|direction|guideline|command|order|message|training|"
    r"programming|polic(?:y|ie)|restriction|filter|context|text|conversation|persona)s?"
)
_EN_BEFORE = (
    r"(?:previous|prior|above|earlier|preceding|foregoing|former|initial|original|existing|"
    r"system|current|safety|your|my|these|those|all|any|other|old)"
)
_KO_THING = r"(?:지시|명령|지침|규칙|프롬프트|설정|제한|안내|내용|대화|정책)"
_KO_BEFORE = r"(?:이전|앞|앞선|위|위의|기존|지금까지|모든|원래|처음|시스템|너의|당신의|네)"


@dataclass(frozen=True)
class Sign:
    """A pattern, what it is a sign of, and how much it weighs from 0 to 1."""

    kind: str
    pattern: re.Pattern[str]
    weight: float


def _sign(kind: str, weight: float, pattern: str) -> Sign:
    # Words and gaps have an end: text without spaces would else be read from each sign anew.
    for endless, bounded in ((r"\w+", r"\w{1,20}"), (r"\w*", r"\w{0,20}"), (r"\W+", r"\W{1,8}")):
        pattern = pattern.replace(endless, bounded)
    return Sign(kind, re.compile(pattern, re.IGNORECASE), weight)


SIGNS = (
    _sign(
        "override",
        0.85,
        r"\b(?:ignore|disregard|forget|override|bypass|skip|drop|discard|abandon|neglect)\b"
        rf"(?:\W+\w+){{0,4}}?\W+{_EN_BEFORE}\b(?:\W+\w+){{0,4}}?\W+{_EN_THING}\b",
    ),
    _sign(
        "override",
        0.6,
        r"\b(?:ignore|disregard|forget)\W+(?:everything|anything|all(?: of)? (?:that|this)|"
        r"what(?:ever)? (?:you|i|we|was))\b",
    ),
    _sign(
        "override",
        0.6,
        r"\b(?:new|real|actual|updated|true|following|secret|hidden) (?:system )?"
        r"(?:instruction|task|objective|directive|prompt)s?\b\W{0,3}(?::|is\b|are\b|below|follow)",
    ),
    _sign(
        "override",
        0.5,
        r"\binstead(?:,| of\b)[^.\n]{0,80}\b(?:say|write|print|output|answer|reply)\b",
    ),
    _sign(
        "override",
        0.85,
        rf"{_KO_BEFORE}(?:의|에|에서|까지의)?\s?(?:\w+\s){{0,3}}?{_KO_THING}\w{{0,4}}\s?(?:\w+\s){{0,2}}?"
        r"(?:무시|잊|따르지|삭제|취소|버려|버리|지워|무효)",
    ),
    _sign(
        "override",
        0.6,
        r"(?:무시하고|잊고|대신)\s?(?:\w+\s){0,4}?(?:대답|출력|작성|말|답)"
        r"(?:해|하)(?:라|세요|십시오|시오|줘)",
    ),
    _sign(
        "persona",
        0.7,
        r"\b(?:you are now|from now on,? (?:you|act|respond|answer)|pretend (?:to be|you|that you)|"
        r"act as (?:if|an? (?:unrestricted|unfiltered|evil|jailbroken))|roleplay as|"
        r"you(?:'re| are) (?:no longer|not) (?:bound|restricted|limited|an ai))\b",
    ),
    _sign(
        "persona",
        0.85,
        r"\b(?:do anything now|developer mode|jailbreak(?:ed)?|god mode|dan mode|"
        r"without (?:any )?(?:restriction|filter|limitation|censorship|moral|ethic)\w*)\b",
    ),
    _sign("persona", 0.6, r"(?:지금|이제)부터\s?(?:너는|넌|당신은|네가|모든)"),
    _sign(
        "persona",
        0.7,
        r"(?:제한|검열|규칙|필터)\s?없(?:이|는)\s?(?:\w+\s){0,2}?(?:대답|답|인공지능|AI|모델)",
    ),
    _sign(
        "reveal",
        0.75,
        r"\b(?:reveal|show|print|repeat|output|tell|leak|display|give|share|disclose|write|"
        r"translate|summari[sz]e|encode|spell)\b(?:\W+\w+){0,5}?\W+(?:your|the|its|above|hidden|"
        r"secret|system|initial)\W+(?:\w+\W+){0,2}?(?:system prompt|prompt|instructions?|"
        r"password|secret(?: key| code| word)?|passphrase|api key|credentials?)\b",
    ),
    _sign(
        "reveal",
        0.75,
        r"(?:시스템|초기|숨겨진|비밀|너의|당신의)\s?(?:프롬프트|지시\w*|메시지|명령|암호|비밀번호)\w{0,2}\s?"
        r"(?:\w+\s){0,3}?(?:보여|출력|알려|공개|말해|적어|번역|요약)",
    ),
    _sign(
        "marker",
        0.85,
        r"<\|[a-z_]{2,24}\|>|\[/?INST\]|<</?SYS>>|</?(?:system|assistant|untrusted|data|context)>"
        r"|<(?:start|end)_of_turn>",
    ),
    _sign(
        "marker",
        0.6,
        r"(?:^|\n)\W{0,4}(?:system|assistant|ai|admin(?:istrator)?|developer|시스템|관리자)"
        r"(?: (?:prompt|message|note|notice|override|instruction)s?)?\W{0,3}:",
    ),
    _sign(
        "marker",
        0.5,
        r"(?:^|\n)\W{0,3}(?:begin|end|start)(?:ing)? (?:of )?(?:system|new|the) \w+",
    ),
    _sign(
        "address",
        0.7,
        r"\b(?:ai|llm|language model|chatbot|chatgpt|gpt|assistant(?! \w+(?:er|or|ist|ant)\b)|"
        r"claude|gemini|copilot)s?\b"
        r"\W{1,3}"
        r"(?:\w+\W+){0,3}?(?:you )?(?:must|should|shall|need to|are (?:required|instructed|to))\b",
    ),
    _sign(
        "address",
        0.7,
        r"\b(?:instruction|message|note|order)s? (?:for|to) (?:the |any |all )?"
        r"(?:ai|llm|language model|chatbot|assistant|model)s?\b",
    ),
    _sign(
        "address",
        0.6,
        r"(?:AI|인공지능|어시스턴트|챗봇|언어\s?모델|조수)(?:은|는|에게|야|이여|이라면|라면)[,:]?\s?(?:\w+\s){0,6}?"
        r"\w*(?:해라|하라|하시오|십시오|하세요|해야|할 것)",
    ),
    _sign(
        "conceal",
        0.7,
        r"\b(?:do not|don't|never|without)\W+(?:tell|mention|inform|reveal|notify|alert|let|"
        r"telling|mentioning|informing|notifying)\w*\W+(?:\w+\W+){0,3}?"
        r"(?:user|person|human|anyone|reader)s?\b",
    ),
    _sign(
        "conceal",
        0.7,
        r"(?:사용자|사람|이용자)(?:에게|한테|께)(?:는)?\s?(?:\w+\s){0,2}?"
        r"(?:알리지|말하지|언급하지|밝히지)",
    ),
    _sign("exfiltration", 0.8, r"!\[[^\]\n]{0,100}\]\(\s*https?://[^)\s]{0,300}[?&=][^)\s]{0,300}\)"),
    _sign(
        "exfiltration",
        0.6,
        r"\b(?:send|forward|post|upload|email|e-mail|transmit|exfiltrate)\b(?:\W+\w+){0,8}?\W+"
        r"(?:to|at)\W+(?:https?://|[\w.+-]{1,64}@)",
    ),
    _sign(
        "exfiltration",
        0.6,
        r"[\w.+-]{1,64}@[\w.-]{1,100}(?:으로|로|에게)\s?(?:\w+\s){0,3}?(?:보내|전송|전달|메일)",
    ),
)  # fmt: skip
_TAGS = re.compile("[\U000e0001-\U000e007f]{4,}")
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\u00ad]")
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{24,4000}={0,2}")
_APART = re.compile(r"(?:\b[A-Za-z][ ._-]){4,200}[A-Za-z]\b")
_ROT13 = re.compile(r"\b(?:vtaber|qvfertneq|sbetrg|cerivbhf|vafgehpgvbaf?|flfgrz cebzcg)\b", re.I)
_LEET = re.compile(
    r"\b(?=\w{0,12}\d)(?:[i1!]gn[o0]r[e3]|f[o0]rg[e3]t|d[i1!]sr[e3]g[a4]rd|"
    r"[i1!]nstruct[i1!][o0]ns?|pr[o0]mpt)\b",
    re.IGNORECASE,
)
_DISGUISE = 0.9  # an order in disguise was meant to be hidden
_MANY = 12  # characters without width, beyond what scripts that need them have


class Injection:
    """Finds signs of injection; kinds are `override`, `persona`, `reveal`, `marker`, `address`,
    `conceal`, `exfiltration` and `hidden`.

    A finding's score is the weight of that sign alone; `score` weighs them together.
    """

    def find(self, text: str) -> list[Finding]:
        """Return the signs in a text, with their places; signs in disguise, with the disguise's."""
        view = plain(text)
        found = [
            Finding(one.kind, *view.span(one.start, one.end), one.score)
            for one in _search(view.text)
        ]
        return found + list(_disguised(text, view.text))


def score(findings: Iterable[Finding]) -> float:
    """Weigh signs together; several of one kind count once, by the heaviest."""
    heaviest: dict[str, float] = {}
    for one in findings:
        heaviest[one.kind] = max(heaviest.get(one.kind, 0.0), one.score)
    return 1 - math.prod(1 - weight for weight in heaviest.values())


def _search(text: str) -> Iterator[Finding]:
    for sign in SIGNS:
        for match in scan(sign.pattern, text):
            if match.end() > match.start():
                yield Finding(sign.kind, match.start(), match.end(), sign.weight)


def _disguised(text: str, copy: str) -> Iterator[Finding]:
    """Yield what is hidden: by characters nobody sees, or by a way of writing."""
    for match in scan(_TAGS, text):
        yield Finding("hidden", *match.span(), _DISGUISE)
    # Persian and emoji need joiners; nobody needs to turn the direction of reading round.
    for match in scan(_BIDI, text):
        yield Finding("hidden", *match.span(), 0.5)
        break
    if sum(1 for _ in scan(_INVISIBLE, text)) > max(_MANY, len(text) // 20):
        yield Finding("hidden", 0, len(text), 0.6)
    if copy is not text and len(copy) != len(text):
        return  # places in the copy are not the text's
    for match in scan(_BASE64, text):
        told = _decoded(match.group())
        if told and any(True for _ in _search(told)):
            yield Finding("hidden", *match.span(), _DISGUISE)
    for match in scan(_APART, text):
        told = re.sub(r"[ ._-]", "", match.group())
        if re.search(r"ignore|disregard|instruction|prompt|override", told, re.IGNORECASE):
            yield Finding("hidden", *match.span(), _DISGUISE)
    if len({match.group().lower() for match in scan(_ROT13, text)}) > 1:
        turned = codecs.decode(text[:20_000], "rot13")
        if any(True for _ in _search(turned)):
            yield Finding("hidden", 0, len(text), _DISGUISE)
    for match in scan(_LEET, text):
        yield Finding("hidden", *match.span(), 0.6)


def _decoded(text: str) -> str:
    try:
        told = base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return ""
    return told if told.isprintable() or "\n" in told else ""
