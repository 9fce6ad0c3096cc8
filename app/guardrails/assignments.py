"""Secrets that are known by the name before them: `password=…`, "api_key": "…", 비밀번호: ….

The name decides how much the value must look like a secret. What a field called *password*
holds is one unless it is a placeholder or code; what is called *token* is one only if it is
long and mixed, since language models write of tokens all day.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from groundling.guardrails.detector import PLACEHOLDER, Finding
from groundling.guardrails.plain import scan

_REACH = 40
_LOOSE = "secret"  # the kind, so far, of what is only perhaps a secret
# How names end, in lower case and without -, _ and blanks. Those of two or three letters must
# be a word of their own.
_ENDINGS = {
    "password": "password passwd passphrase passcode 비밀번호 비번 암호 패스워드 패스코드",
    "api_key": (
        "apikey appkey accesskey secretkey privatekey encryptionkey signingkey servicekey authkey "
        "accountkey masterkey sharedkey subscriptionkey clientsecret appsecret consumersecret "
        "webhooksecret sharedsecret jwtsecret authsecret apisecret credential credentials "
        "api키 인증키 비밀키 시크릿키 액세스키 서비스키"
    ),
    "token": (
        "accesstoken authtoken refreshtoken apitoken bottoken bearertoken idtoken sessiontoken "
        "oauthtoken securitytoken deploytoken privatetoken 액세스토큰 인증토큰 authorization"
    ),
    _LOOSE: "secret token 시크릿 토큰",
}
_KINDS = {ending: kind for kind, endings in _ENDINGS.items() for ending in endings.split()}
_LONG = tuple(_KINDS)
_LENGTHS = sorted({len(ending) for ending in _KINDS}, reverse=True)
_SHORT = re.compile(r"(?:(?<![a-z])pwd?|[-_]pass)$")
_CLOSING = " \t\"'`\\])*"
_BLANKS = str.maketrans("", "", "-_ .")
# After the sign: an escaped quotation (JSON in a text), a quotation, or a bare word.
_VALUE = re.compile(
    r"[=>:]?\*{0,2}[ \t]{0,8}(?:\r?\n[ \t]{0,8})?(?:(?:Bearer|Basic|Token)[ ]+)?(?:"
    r"\\\\?\"(?P<escaped>[^\"\\\n]{4,512})\\\\?\""
    r"|[frb]?\"(?P<double>(?:[^\"\\\n]|\\.){4,512}+)\"|[frb]?'(?P<single>(?:[^'\\\n]|\\.){4,512}+)'"
    r"|`(?P<back>[^`\n]{4,512})`|[“‘](?P<curly>[^”’\n]{4,512})[”’]"
    r"|\\?[\"'](?P<cut>[^\"'\\\s]{4,512})\Z"
    r"|(?P<word>[!-~]{4,512}))",
    re.IGNORECASE,
)
# A bare word ends where code, markup or a sentence goes on.
_WORD = re.compile(r"[!#-%*-+\-./0-:=?-Z^_a-z~]{4,512}")
_TEMPLATE = re.compile(
    r"[<\[{$%*•]|x{4}|\.{3}|your[-_ ]|my[-_ ](?:pass|key|token|secret)", re.IGNORECASE
)
_NOTHING = """
    none null true false string str secretstr undefined redacted required optional password passwd
    secret token example placeholder test text hidden masked bearer basic integer number boolean
    object any bytes username email
"""
_EMPTY = frozenset(_NOTHING.split())
_CODE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*[.:!?]*")
_DATE = re.compile(r"(?:19|20)[0-9]{2}(?:[-./][0-9]{1,2}){1,2}|[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?")
_ALGORITHM = re.compile(
    r"(?:sha|aes|rsa|md|des|ecdsa|hmac|bcrypt|argon|pbkdf|scrypt|base|utf|tls|ssl|https?:|wpa)-?[0-9/]",
    re.IGNORECASE,
)
# Told in a sentence: "my password is …", "비밀번호는 …입니다".
_PASSWORDS_KOREAN = ("비밀번호", "비번", "암호", "패스워드")
_TOLD = re.compile(r"ass(?:word|code)\s(?:is|was|to)\s(?:now\s)?")
_TOLD_KOREAN = re.compile(r"[비암패](?:밀번호|번|호|스워드)(?:은|는|가|이|를|을)?\s{0,2}(?![:=])")
_TOLD_VALUE = re.compile(r"[\"'“‘`](?P<quoted>[!-~]{4,64}?)[\"'”’`]|[\"'“‘`]?(?P<word>[!-~]{4,64})")
_UNITS = re.compile(
    r"\s?(?:자|글자|개|년|월|일|회|번|분|시간?|차|이상|이하|명|종|단계|characters|days|times|or)"
)


def assigned(text: str, sign: int) -> Iterator[Finding]:
    """Yield the secret that is assigned at a sign (`:` or `=`), if there is one."""
    before = PLACEHOLDER.sub(" ", text[max(0, sign - _REACH) : sign])
    kind = named(before.rstrip(_CLOSING))
    match = _VALUE.match(text, sign + 1) if kind else None
    if not kind or not match:
        return
    quoted = match.lastgroup != "word"
    start, end = match.span(match.lastgroup or 0)
    if not quoted:
        word = _WORD.match(text, start)
        if not word:
            return
        end = word.start() + len(word[0].rstrip(".:"))
        if text[end : end + 1] in ("(", "[") and _CODE.fullmatch(text, start, end):
            return  # a call or a subscript: password = read(…)
        if _measure(text, start, end):
            return
    value = text[start:end]
    if _is_secret(value, kind, quoted=quoted):
        yield Finding(_kind(value, kind), start, end, 0.9 if quoted else 0.8)


def told(text: str) -> Iterator[Finding]:
    """Yield the passwords that a sentence tells."""
    korean = any(word in text for word in _PASSWORDS_KOREAN)
    patterns = (_TOLD, _TOLD_KOREAN) if korean else (_TOLD,)
    for match in (match for pattern in patterns for match in scan(pattern, text)):
        value = _TOLD_VALUE.match(text, match.end())
        if not value:
            continue
        quoted = value["quoted"] is not None
        start, end = value.span("quoted" if quoted else "word")
        end = start + len(text[start:end].rstrip(".,:;\"'`)"))
        word = text[start:end]
        mixed = re.search("[0-9]", word) and re.search("[^0-9]", word)
        pin = word.isdigit() and len(word) <= 8
        if _measure(text, start, end) or not (mixed or pin or quoted):
            continue
        if _is_secret(word, "password", quoted=quoted):
            yield Finding("password", start, end, 0.75)


def named(name: str) -> str | None:
    """Return the kind of secret that a name ends in, such as `DB_PASSWORD` or `api key`."""
    name = name.lower()
    compact = name.translate(_BLANKS)
    if compact.endswith(_LONG):
        return next(_KINDS[compact[-n:]] for n in _LENGTHS if compact[-n:] in _KINDS)
    return "password" if _SHORT.search(name) else None


def field_kind(name: str, value: str) -> str | None:
    """Return the kind of secret that a field of this name holds; None where it holds none."""
    kind = named(name[-_REACH:])
    scheme, _, rest = value.partition(" ")
    if rest and scheme.lower() in ("bearer", "basic", "token"):
        value = rest
    return _kind(value, kind) if kind and _is_secret(value, kind, quoted=True) else None


def _measure(text: str, start: int, end: int) -> bool:
    """Tell whether it is an amount: "8-16자", "90 days"."""
    return not re.search("[A-Za-z]", text[start:end]) and _UNITS.match(text, end) is not None


def _kind(value: str, kind: str) -> str:
    if value.startswith("eyJ") and value.count(".") == 2:
        return "jwt"
    return "token" if kind == _LOOSE else kind


def _is_secret(value: str, kind: str, *, quoted: bool) -> bool:
    if len(value) < 4 or _TEMPLATE.match(value) or value.lower() in _EMPTY:
        return False
    if len(set(value)) < 3 and not value.isalnum():
        return False
    digits = any(character.isdigit() for character in value)
    if kind == "password":
        if quoted:
            return not re.search(r"\s", value) and value.isascii()
        if _DATE.fullmatch(value) or _ALGORITHM.match(value):
            return False
        return not _CODE.fullmatch(value) or (digits and "." not in value and "_" not in value)
    code = "." in value and _CODE.fullmatch(value) if not quoted else "{" in value
    if code or re.search(r"\s", value) or not value.isascii():
        return False
    letters = any(character.isalpha() for character in value)
    if kind == _LOOSE:
        return len(value) >= 16 and digits and letters and value[0] != "/"
    long = quoted and len(value) >= 16 and value.isalpha()
    return len(value) >= 8 and (digits or long) and not _DATE.fullmatch(value)
