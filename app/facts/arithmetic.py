"""Claims of arithmetic: an equation or a comparison in a sentence, computed and judged.

"Janet has 16 - 3 - 4 = 9 eggs left", "15% of 80 is 14", "80의 25%는 20이다", "7/8 > 0.9". The
words around it do not matter; what counts is a relation with arithmetic on one side of it.
A stated number may be rounded or cut: it is right within half of its last digit, or where all of
its digits are right, and within its last digit (or 1 %) where the claim says "about".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, InvalidOperation

from groundling.facts.claim import Background, CheckedClaim, Claim, settled
from groundling.facts.exact import ArithmeticFault
from groundling.facts.expressions import LONGEST, Value, compute, evaluate, shown
from groundling.facts.tokens import Token, in_signs, tokens

__all__ = ["ArithmeticFault", "ArithmeticSource", "Value", "evaluate", "judge"]

ABOUT = re.compile(
    r"\b(?:about|approximately|approx|around|roughly|nearly|almost|some)\b|≈|≃|∼|~|약\s|대략|거의|정도|쯤",
    re.IGNORECASE,
)
SIGNS = "=≈≃∼~<>≤≥≠!"
_RELATIONS = {
    "=": "=", "==": "=", "≈": "=", "≃": "=", "~=": "=", "∼": "=", "!=": "≠", "≠": "≠",
    "<": "<", ">": ">", "<=": "≤", "≤": "≤", ">=": "≥", "≥": "≥", "=>": "=",
}  # fmt: skip
_VERBS = {
    "equals", "equal", "is", "are", "makes", "gives", "was", "be", "totals", "yields", "comes",
    "은", "는", "이", "가", "면", "하면", "값은", "합은", "곱은", "차는", "결과는",
}  # fmt: skip
_APPROXIMATE = {
    "about", "approximately", "approx", "around", "roughly", "nearly", "almost", "exactly",
    "약", "대략", "거의", "정확히", "정도", "쯤", "to", "the", "a", "now", "only", "total",
}  # fmt: skip
_COMPARED = {"greater": ">", "larger": ">", "bigger": ">", "more": ">", "higher": ">",
             "less": "<", "smaller": "<", "lower": "<", "fewer": "<"}  # fmt: skip
_KOREAN_COMPARED = re.compile(r"보다\s*(?:더\s*)?(크|많|높|작|적|낮)")
_KOREAN_VERB = re.compile(r"(?<=[\d)%!²³])\s*(?:하면|이면|[은는이가])(?=[\s\d(,])")
_KOREAN_SIGN = re.compile(r"(?<=\d)(?:에서|에|을|를)\s*(?=[\d.,]+)")


@dataclass(frozen=True)
class Stated:
    """One link of a chain: `left relation right`, as tokens of the text."""

    left: tuple[Token, ...]
    relation: str
    right: tuple[Token, ...]
    by_verb: bool = False


@dataclass(frozen=True)
class Judgement:
    """What a relation comes to.

    `number` is the stated number that would have to be `right` for it to hold, if there is one.
    """

    holds: bool
    query: str
    evidence: str
    tolerance: str | None
    number: Token | None
    right: str | None


class ArithmeticSource:
    """Settles claims that hold arithmetic; knows nothing of others."""

    name = "arithmetic"

    async def check(self, claim: Claim, background: Background) -> CheckedClaim | None:
        """Compute what the claim states; None if it states nothing that can be computed."""
        return judge(claim)


def judge(claim: Claim) -> CheckedClaim | None:
    """Settle a claim by computing it; the first relation that is wrong decides.

    Returns:
        The verdict with both sides computed; None where the text has no arithmetic.
    """
    text = claim["text"]
    if len(text) > LONGEST:
        return None
    found = _judgements(text)
    if not found:
        return None
    decisive = next((one for one in found if not one.holds), found[-1])
    correction = None
    if decisive.number is not None and decisive.right is not None:
        number = decisive.number
        correction = text[: number.start] + decisive.right + text[number.end :]
        # In a chain, what mends one link may break the next.
        if not all(one.holds for one in _judgements(correction)):
            correction = None
    return settled(
        claim,
        "SUPPORTED" if decisive.holds else "REFUTED",
        ArithmeticSource.name,
        query=decisive.query,
        evidence=decisive.evidence,
        tolerance=decisive.tolerance,
        correction=None if decisive.holds else correction,
    )


def _judgements(text: str) -> list[Judgement]:
    return [judged for link in links(text) if (judged := judge_link(link, text)) is not None]


def links(text: str) -> list[Stated]:
    """Find the relations of a text that have arithmetic on at least one side.

    The text's own offsets are kept: what is rewritten for reading is rewritten in place.
    """
    found: list[Stated] = []
    run: list[list[Token]] = [[]]
    relations: list[str] = []
    verbs: list[bool] = []

    def close() -> None:
        for place, relation in enumerate(relations):
            left = _suffix(run[place]) if place == 0 else tuple(run[place])
            last = place == len(relations) - 1
            right = _prefix(run[place + 1]) if last else tuple(run[place + 1])
            if not _parses(left):
                left = _suffix(run[place])
            if not _parses(right):
                right = _prefix(run[place + 1])
            if left and right and (_works(left) or _works(right)):
                found.append(Stated(left, relation, right, verbs[place]))
        run[:] = [[]]
        relations.clear()
        verbs.clear()

    listed = list(tokens(_in_signs(text)))
    place = 0
    while place < len(listed):
        token = listed[place]
        relation, skipped = _relation(listed, place)
        if relation is not None:
            if run[-1]:
                relations.append(relation)
                verbs.append(token.kind == "word" or text[token.start] not in SIGNS)
                run.append([])
            place += skipped
            continue
        word = token.text.lower()
        if token.kind == "word":
            if word in _APPROXIMATE or not run[-1]:
                pass  # words before a number
            elif _unit(listed, place):
                pass  # words between a number and the next sign
            else:
                close()
        elif token.kind == "other":
            if token.text not in ",;:" or not _unit(listed, place):
                close()
        else:
            run[-1].append(token)
        place += 1
    close()
    return found


def _in_signs(text: str) -> str:
    """Write Korean wordings as signs of the same length, so that offsets stay."""

    text = in_signs(text)
    text = _KOREAN_COMPARED.sub(_korean_order, text)
    return _KOREAN_VERB.sub(lambda match: "=" + " " * (len(match.group()) - 1), text)


def _korean_order(match: re.Match[str]) -> str:
    # "A는 B보다 크다": the verb after A becomes the relation, this becomes nothing.
    sign = "﹥" if match[1] in "크많높" else "﹤"
    return sign + " " * (len(match.group()) - 1)


def _relation(listed: Sequence[Token], place: int) -> tuple[str | None, int]:
    """Read a relation at a place: returns it and how many tokens it takes."""
    token = listed[place]
    if token.kind == "relation":
        order = _order_behind(listed, place)
        return order or _RELATIONS[token.text], 1
    if token.kind == "word" and token.text.lower() in _VERBS:
        after = [one.text.lower() for one in listed[place + 1 : place + 4]]
        if after and after[0] in _COMPARED:
            return _COMPARED[after[0]], 3 if after[1:2] == ["than"] else 2
        if after[:1] == ["equal"]:
            return "=", 3 if after[1:2] == ["to"] else 2
        if after and (after[0] in _APPROXIMATE or listed[place + 1].kind != "word"):
            return "=", 1
    return None, 1


def _order_behind(listed: Sequence[Token], place: int) -> str | None:
    for token in listed[place + 1 : place + 12]:
        if token.text in "﹥﹤" and token.kind == "other":
            return ">" if token.text == "﹥" else "<"
        if token.kind == "relation":
            return None
    return None


def _unit(listed: Sequence[Token], place: int) -> bool:
    """Tell whether what stands here only names what a number counts."""
    for token in listed[place : place + 4]:
        if token.kind in ("relation", "sign") and token.text not in ("(",):
            return True
        if token.kind == "word" and token.text.lower() in _VERBS:
            return True
        if token.kind != "word":
            return False
    return False


def _works(found: Sequence[Token]) -> bool:
    """Tell whether tokens are more than a number."""
    return any(
        token.kind in ("function", "constant") or (token.kind == "sign" and token.text not in "()")
        for token in found[1:]
        if token.text != "%"
    ) or any(token.text in ("√", "%") or token.kind == "function" for token in found)


def _parses(found: Sequence[Token]) -> bool:
    try:
        compute(found)
    except ArithmeticFault:
        return False
    return True


def _suffix(found: Sequence[Token]) -> tuple[Token, ...]:
    """Return the longest ending that is an expression."""
    for start in range(len(found)):
        if _parses(found[start:]):
            return tuple(found[start:])
    return ()


def _prefix(found: Sequence[Token]) -> tuple[Token, ...]:
    """Return the longest beginning that is an expression."""
    for end in range(len(found), 0, -1):
        if _parses(found[:end]):
            return tuple(found[:end])
    return ()


def judge_link(link: Stated, text: str) -> Judgement | None:
    """Compute both sides of a relation; None where one of them is no arithmetic.

    Args:
        link: its tokens.
        text: what they were read from; words such as "about" in it widen the tolerance.
    """
    try:
        left, right = compute(link.left), compute(link.right)
    except ArithmeticFault:
        return None
    number = _plain(link.right) or _plain(link.left)
    query = f"{_written(link.left)} {link.relation} {_written(link.right)}"
    computed = right if number is not None and _plain(link.right) is None else left
    evidence = f"{_written(link.left if computed is left else link.right)} = {shown(computed)}"
    if link.relation != "=":
        holds = _compared(left, link.relation, right)
        if computed is left and _plain(link.left) is not None and _plain(link.right) is None:
            computed = right
        return Judgement(holds, query, evidence, None, None, None)
    if link.by_verb and (_is_range(link.left) or _is_range(link.right)):
        return None  # "Pages 10-12 are about 3", "Easter is 2026-04-05"
    exact = left.exact == right.exact
    if number is None:
        return Judgement(exact, query, evidence, "0", None, None)
    side = link.right if number in link.right else link.left
    wanted = abs(computed.decimal()) * (100 if any(token.text == "%" for token in side) else 1)
    stated = abs(Decimal(number.text.replace(",", "")))
    same_sign = (left.decimal() < 0) == (right.decimal() < 0)
    about = bool(ABOUT.search(text[max(0, link.left[0].start - 12) : link.right[-1].end + 8]))
    tolerance = _tolerance(number, wanted, about)
    near = abs(wanted - stated) <= tolerance if about else _shortened(number, stated, wanted)
    right_one = like(number.text, wanted) if same_sign else None
    if computed.decimal() < 0 and not same_sign:
        right_one = f"-{like(number.text, wanted)}"
    told = f"{tolerance.normalize():f}"
    return Judgement(exact or (same_sign and near), query, evidence, told, number, right_one)


def _is_range(found: Sequence[Token]) -> bool:
    """Tell whether a hyphen stands between two numbers without a space."""
    return any(
        sign.text == "-" and before.end == sign.start and sign.end == after.start
        for before, sign, after in zip(found, found[1:], found[2:], strict=False)
    )


def _plain(found: Sequence[Token]) -> Token | None:
    """Return the number where tokens are just one, perhaps with a sign or %."""
    rest = [token for token in found if token.text not in ("%", "+", "-")]
    if len(rest) == 1 and rest[0].kind == "number" and len(found) <= 3:
        return rest[0] if found[0].kind == "number" or found[0].text in "+-" else None
    return None


def _tolerance(number: Token, wanted: Decimal, about: bool) -> Decimal:
    text = number.text.replace(",", "")
    places = len(text.partition(".")[2])
    unit = Decimal(1).scaleb(-places)
    if about:
        zeros = len(text) - len(text.rstrip("0")) if "." not in text else 0
        return max(unit.scaleb(zeros), wanted / 100)
    return unit / 2 if places or wanted != wanted.to_integral_value() else Decimal(0)


def _shortened(number: Token, stated: Decimal, wanted: Decimal) -> bool:
    """Tell whether a number is the value rounded to its last digit, or cut after its decimals.

    Half is rounded up or to the even digit. A whole number that stands for another is wrong,
    and so is a fraction that was cut to a whole number.
    """
    places = len(number.text.partition(".")[2])
    if not places and wanted == wanted.to_integral_value():
        return stated == wanted
    ways = (ROUND_HALF_UP, ROUND_HALF_EVEN, *((ROUND_DOWN,) if places else ()))
    last = Decimal(1).scaleb(-places)
    try:
        return any(stated == wanted.quantize(last, rounding=way) for way in ways)
    except InvalidOperation:  # more digits than a number of this kind has
        return False


def _compared(left: Value, relation: str, right: Value) -> bool:
    difference = left.decimal() - right.decimal()
    return {
        "<": difference < 0,
        ">": difference > 0,
        "≤": difference <= 0,
        "≥": difference >= 0,
        "≠": difference != 0,
    }[relation]


def like(pattern: str, value: Decimal) -> str:
    """Write a value as a number is written: its decimals, its thousands separators."""
    places = len(pattern.partition(".")[2])
    if value != value.to_integral_value():
        places = max(places, 2) if abs(value) < 1000 else places
    try:
        rounded = value.quantize(Decimal(1).scaleb(-places))
    except InvalidOperation:  # more digits than the context holds
        return f"{value:E}"
    separated = "," in pattern or (len(pattern) < 4 and abs(rounded) >= 10_000)
    text = f"{rounded:,f}" if separated else f"{rounded:f}"
    longer = "." in text and len(pattern.partition(".")[2]) < places
    return text.rstrip("0").rstrip(".") if longer else text


def _written(found: Sequence[Token]) -> str:
    text = ""
    for token in found:
        tight = token.text in ("(", ")", "%", "!", "²", "³", "^", "√") or text[-1:] in (
            "(",
            "^",
            "√",
            "",
        )
        text += token.text if tight else f" {token.text}"
    return text.strip()
