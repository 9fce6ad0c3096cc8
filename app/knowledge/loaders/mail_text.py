"""The texts of a mail: its headers and bodies, in whatever encoding they come.

Programs of every age have written mails: headers in bare EUC-KR, words of RFC 2047 that cut a
character in two, charsets that do not exist or are not the text's. So the standard library's
tolerant policy (`compat32`) parses them, and the bytes are decoded here: nothing raises.
"""

from __future__ import annotations

import codecs
import email
import re
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.policy import Compat32
from email.utils import parsedate_to_datetime

from groundling.errors import DocumentError
from groundling.knowledge.loaders.document import one_line
from groundling.knowledge.loaders.text import decode_bytes

SHOWN_HEADERS = ("From", "To", "Cc", "Date", "Subject")

# Python's codecs for other things than texts; some of them take very long.
_NO_CHARSETS = ("idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined")
_FLOWED = re.compile(r"(?<!\n--) \r?\n(?!>)")  # RFC 3676: a line that goes on in the next
_LONGEST_HEADER = 20_000  # characters; the parser's time grows with their square
_SURROGATE = re.compile("[\ud800-\udfff]")


class Bounded(Compat32):
    """The tolerant policy, with headers cut to a length."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        """Return a header's name and its value, as `Compat32` does."""
        name, value = super().header_source_parse(sourcelines)
        return name, value[:_LONGEST_HEADER]


def parsed(data: bytes) -> Message:
    """Parse a message; whatever it is, it becomes one."""
    return email.message_from_bytes(data, policy=Bounded())


def header(message: Message, name: str) -> str:
    """Return a header on one line, "" where there is none."""
    return decoded_words(_raw(message, name))


def file_name(part: Message) -> str:
    """Return the name that a part has as a file, "" where it has none."""
    for key in ("Content-Disposition", "Content-Type"):
        if _SURROGATE.search(raw := _raw(part, key)):
            part.replace_header(key, _recovered(raw))
    try:
        return decoded_words(part.get_filename() or "")
    except (LookupError, ValueError, TypeError):  # RFC 2231 with a charset that is none
        return ""


def header_lines(message: Message) -> str:
    """Return the headers that are shown, a line each; the date as "2024-03-02 09:05 +0900"."""
    found = ((name, header(message, name)) for name in SHOWN_HEADERS)
    return "\n".join(
        f"{name}: {_date(value) if name == 'Date' else value}" for name, value in found if value
    )


def decoded_words(raw: str) -> str:
    """Decode a header: the encoded words of RFC 2047, or bare bytes of any encoding."""
    text = _recovered(raw)
    try:
        words = decode_header(text)
    except (HeaderParseError, ValueError):  # broken base64
        return one_line(text)
    return one_line("".join(_word(word, charset) for word, charset in words))


def body(part: Message) -> str:
    """Return the text of a part that is one."""
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return ""
    text = decoded(data, str(part.get_param("charset", "utf-8")))
    flowed = str(part.get_param("format", "")).lower() == "flowed"
    return _FLOWED.sub(" ", text) if flowed else text


def decoded(data: bytes, charset: str) -> str:
    """Return the text of bytes that should be in a charset, but may be in any."""
    encoding = _encoding(charset)
    # Latin-1 takes any bytes for text; what is UTF-8 by its bytes is never anything else.
    for name in ("utf-8", encoding) if encoding.startswith(("iso8859", "cp125")) else (encoding,):
        try:
            return data.decode(name)
        except UnicodeError:
            continue
    try:
        return decode_bytes(data, "")
    except DocumentError:
        return data.decode(encoding, errors="replace")


def _encoding(charset: str) -> str:
    try:
        name = codecs.lookup(charset.strip("\"' ")).name
        "".encode(name)  # not all of Python's codecs are for texts
    except (LookupError, ValueError):
        return "utf-8"
    if name == "euc_kr":
        return "cp949"  # which holds all of it, and which programs write under its names
    return "utf-8" if name in _NO_CHARSETS else name


def _raw(message: Message, name: str) -> str:
    wanted = name.lower()
    return next((str(raw) for key, raw in message.raw_items() if key.lower() == wanted), "")


def _word(word: bytes | str, charset: str | None) -> str:
    if isinstance(word, str):
        return word
    # What decode_header found between encoded words it gives as bytes of this kind.
    return decoded(word, charset) if charset else word.decode("raw-unicode-escape", "replace")


def _recovered(raw: str) -> str:
    """Decode the bytes that the parser kept as lone surrogates."""
    if not _SURROGATE.search(raw):
        return raw
    try:
        return decoded(raw.encode("utf-8", "surrogateescape"), "utf-8")
    except UnicodeError:
        return raw


def _date(value: str) -> str:
    try:
        return parsedate_to_datetime(value).strftime("%Y-%m-%d %H:%M %z").strip()
    except (ValueError, TypeError, IndexError, OverflowError):
        return value
