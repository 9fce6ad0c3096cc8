"""Plain text and Markdown, in whatever encoding they come.

Most files are UTF-8. What is not is told by rules made for Korean, Japanese and Western texts
before charset-normalizer is asked, which takes short ones for something else: a sentence of
French for Baltic (cp1257), one of Spanish for Chinese (Big5).
"""

from __future__ import annotations

import re
from pathlib import Path

from groundling.errors import DocumentError
from groundling.knowledge.loaders.document import LoadedDocument, storable
from groundling.knowledge.loaders.markdown import read_markdown

# UTF-32 first: its mark begins with that of UTF-16.
_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_HIGH = re.compile(rb"[\x80-\xff]")
_ASCII = bytes(range(128))
# Control characters that no text needs; those left out stand in logs and old listings.
_CONTROL = re.compile(r"[\x00-\x07\x0e-\x19\x1c-\x1f\x7f]")
_HANGUL = re.compile("[가-힣]")
_KANA = re.compile("[ぁ-ヿ]")
_FOREIGN = re.compile(r"[^\x00-\x7f]")
_LETTER = re.compile(r"[^\W\d_]")
# What Western European texts are written with. Letters that only Central European, Baltic or
# Turkish texts yield when they are read as cp1252 (š, ž, ð, þ, ¹, ³) are left out on purpose.
_WESTERN = re.compile(
    "[ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜŸŒàáâãäåæçèéêëìíîïñòóôõöøùúûüÿœß"
    "\xa0\xad“”‘’‚„–—…•€£¥§©®°´«»¡¿ªº·±µ×¼½¾†‡‰™]"
)


def load_text(path: Path) -> LoadedDocument:
    """Read a text file; the title is its name."""
    return LoadedDocument(storable(decode(path)), title=path.stem, format="text")


def load_markdown(path: Path) -> LoadedDocument:
    """Read a Markdown file; the title is its first heading of level 1, else its name."""
    return read_markdown(storable(decode(path)), path.stem)


def decode(path: Path) -> str:
    """Return a file's text: what its byte-order mark says, UTF-8, or what it looks like.

    Raises:
        DocumentError: the file is not text.
    """
    return decode_bytes(path.read_bytes(), path.name)


def decode_bytes(data: bytes, name: str) -> str:
    """Return the text of bytes, as `decode` does; `name` stands in the error."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    if b"\x00" in data[:65536]:
        return _utf16_without_mark(data, name)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    if (text := _damaged_utf8(data)) is not None:
        return text
    sample = _sample(data)
    if known := _known(sample):
        return data.decode(known, errors="replace")
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    if best is not None and _is_text(str(best)):
        return data.decode(best.encoding, errors="replace")
    # Nothing else it can be: UTF-8 with holes, if they are few.
    text = data.decode("utf-8-sig", errors="replace")
    if text.count("\ufffd") * 10 <= len(text) and _is_text(text.replace("\ufffd", "")):
        return text
    raise DocumentError(
        f"{name} is not text in any encoding that could be told.",
        hint="Save it as UTF-8, or give it the suffix of what it is.",
    )


def _utf16_without_mark(data: bytes, name: str) -> str:
    """Read what has NUL bytes: UTF-16, if every other byte of its ASCII is one, else nothing."""
    even, odd = data[: 1 << 20 : 2], data[1 : 1 << 20 : 2]
    # Pairs of a NUL and an ASCII character, counted on either side: "가" is U+AC00, so that
    # Korean has NUL bytes on both.
    little = sum(0 < low < 128 and not high for low, high in zip(even, odd, strict=False))
    big = sum(0 < low < 128 and not high for low, high in zip(odd, even, strict=False))
    encoding = "utf-16-le" if little >= big else "utf-16-be"
    text = data.decode(encoding, errors="replace")
    few = max(little, big) * 50 < len(even)  # a text has a space or a line end now and then
    if few or _CONTROL.search(text[:512]) or not _is_text(text[: 1 << 19]):
        raise DocumentError(
            f"{name} is not text: it holds NUL bytes.",
            hint="Give it the suffix of what it is, or leave it out.",
        )
    return text


def _damaged_utf8(data: bytes) -> str | None:
    """Return the text if the bytes are UTF-8 but for a few; each of those becomes U+FFFD.

    Of CP949, fewer than one character in ten happens to be UTF-8; of Latin-1, next to none.
    """
    text = data.decode("utf-8-sig", errors="replace")
    broken = text.count("\ufffd") - data.count(b"\xef\xbf\xbd")
    high = len(data.translate(None, _ASCII))
    foreign = len(text) - (len(data) - high) - broken
    return text if foreign >= 2 * broken else None


def _sample(data: bytes) -> bytes:
    """Return the bytes around the first that is not ASCII: the encoding shows there only."""
    found = _HIGH.search(data)
    start = max(0, found.start() - 1000) if found else 0
    return data[start : start + (1 << 18)]


def _known(sample: bytes) -> str | None:
    """Tell Japanese, Korean and Western European encodings by what the text would be then."""
    # Japanese first: read as Korean it often looks right, but not the other way round.
    for encoding, script, least in (
        ("cp932", _KANA, 0.2),
        ("euc_jp", _KANA, 0.2),
        ("cp949", _HANGUL, 0.8),
        ("cp1252", _WESTERN, 1.0),
    ):
        text = sample.decode(encoding, errors="replace")
        foreign = len(_FOREIGN.findall(text))
        if encoding == "cp1252" and foreign * 2 > len(_LETTER.findall(text)):
            continue  # no Western text has so many accents
        if text.count("\ufffd") * 200 <= len(text) and len(script.findall(text)) >= least * foreign:
            return encoding if _is_text(text) else None
    return None


def _is_text(text: str) -> bool:
    """Tell whether hardly any characters are such as no text has: a hundredth, or two."""
    strange = len(_CONTROL.findall(text)) + text.count("\ufffd")
    return strange <= 2 + len(text) // 100
