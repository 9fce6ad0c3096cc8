"""Mail: a message (.eml), with its attachments, or a box of them (.mbox).

Of a message's alternatives the plain text is read, else the HTML. Attachments of the kinds
that Groundling reads become sections, as do messages within messages; archives and boxes do
not, because they could hold mails that hold archives.
"""

from __future__ import annotations

import mimetypes
import re
import tempfile
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

from groundling.errors import DocumentError
from groundling.knowledge.loaders import registry
from groundling.knowledge.loaders.document import LoadedDocument, TextBuilder, one_line
from groundling.knowledge.loaders.html import read_html
from groundling.knowledge.loaders.mail_parts import nested_message, parts_of
from groundling.knowledge.loaders.mail_text import body, file_name, header, header_lines, parsed
from groundling.knowledge.loaders.mailbox import raw_messages
from groundling.knowledge.loaders.members import Member

MOST_ATTACHMENT_BYTES = 20 * 1024 * 1024
MOST_ATTACHMENTS = 100
MOST_CHARACTERS = 64 * 1024 * 1024
DEEPEST = 3  # messages within messages

_LEVEL = 2
_LONGEST_NAME = 180  # bytes; file systems take 255
_BEFORE_HEADERS = b"\xef\xbb\xbf \t\r\n"
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f\ud800-\udfff/\\:*?"<>|]+')
_ADVICE = "Save it again from the mail program, as .eml."
# A file with none of these is no mail; the parser takes anything for one.
_SIGNS = ("from", "to", "subject", "date", "received", "message-id", "mime-version", "content-type")


def load_mail(path: Path) -> LoadedDocument:
    """Read an .eml file; the title is its subject, else the file's name.

    Raises:
        DocumentError: it is no mail, or nested too deeply.
    """
    return read_mail(path.read_bytes(), path.name)


def mail_members(path: Path) -> Iterator[Member]:
    """Read the messages of an .mbox file one by one, named "0001 Subject.eml".

    Raises:
        DocumentError: the file is no mailbox.
    """
    for number, data in enumerate(raw_messages(path), 1):
        name = f"{number:04}.eml"
        if data is None:
            yield Member(name, None, f"{name} is larger than a message may be.")
            continue
        try:
            document = read_mail(data, name)
        except DocumentError as error:
            yield Member(name, None, str(error))
            continue
        if document.title != Path(name).stem:
            name = f"{number:04} {_plain(document.title)}.eml"
        yield Member(name, document)


def read_mail(data: bytes, name: str) -> LoadedDocument:
    """Read a message from its bytes; `name` is the name of its file.

    Raises:
        DocumentError: as `load_mail`.
    """
    try:
        message = parsed(data.lstrip(_BEFORE_HEADERS))
        if not _is_mail(message):
            raise DocumentError(f"{name} is not a mail: it has no header of one.", hint=_ADVICE)
        writer = _Writer()
        writer.message(message, 0)
    except RecursionError as error:
        raise DocumentError(f"{name} is nested too deeply to be a mail.", hint=_ADVICE) from error
    return writer.builder.document(header(message, "Subject") or Path(name).stem, "eml")


class _Writer:
    """Writes a message and what it holds into one document, within the bounds of it all."""

    def __init__(self) -> None:
        self.builder = TextBuilder()
        self.attachments = 0

    def message(self, message: Message, depth: int) -> None:
        """Write headers, the names of the attachments, the body, the attachments."""
        bodies, attached = parts_of(message)
        names = ", ".join(_name(part) for part in attached)
        listed = f"\nAttachments: {names}" if names else ""
        self.builder.paragraph(header_lines(message) + listed)
        above = _LEVEL + depth - 1 if depth else 0
        for part in bodies:
            if part.get_content_type() == "text/html":
                self.builder.section(read_html(body(part), ""), above)
            else:
                self.builder.paragraph(body(part))
        for part in attached:
            self._attachment(part, depth)

    def _attachment(self, part: Message, depth: int) -> None:
        name = _name(part)
        suffix = Path(name).suffix.lower()
        nested = nested_message(part)
        if nested is None and suffix not in registry.LOADERS:
            return
        self.builder.heading(_LEVEL + depth, name)
        try:
            if nested is None and suffix == ".eml":
                nested = parsed(self._data(part, name).lstrip(_BEFORE_HEADERS))
            if nested is None:
                self.builder.section(self._loaded(part, name), _LEVEL + depth)
            elif depth == DEEPEST:
                raise DocumentError(f"{name} is more than {DEEPEST} messages deep.")
            elif not _is_mail(nested):
                raise DocumentError(f"{name} is not a mail.")
            else:
                self.message(nested, depth + 1)
        except DocumentError as error:
            # Whoever asks what is in it learns why that is not known.
            self.builder.paragraph(f"(not read: {error})")

    def _loaded(self, part: Message, name: str) -> LoadedDocument:
        data = self._data(part, name)
        with tempfile.TemporaryDirectory(prefix="groundling-") as folder:
            file = Path(folder, _plain(Path(name).stem) + Path(name).suffix)
            file.write_bytes(data)
            return registry.load(file)

    def _data(self, part: Message, name: str) -> bytes:
        self.attachments += 1
        if self.attachments > MOST_ATTACHMENTS or self.builder.length > MOST_CHARACTERS:
            raise DocumentError(f"{name} comes after more than a mail may hold.")
        data = part.get_payload(decode=True)
        if not isinstance(data, bytes):
            raise DocumentError(f"{name} has no content.")
        if len(data) > MOST_ATTACHMENT_BYTES:
            raise DocumentError(
                f"{name} has {len(data) / 1e6:,.0f} MB; of an attachment at most "
                f"{MOST_ATTACHMENT_BYTES / 1e6:,.0f} MB are read."
            )
        return data


def _is_mail(message: Message) -> bool:
    return any(sign in message for sign in _SIGNS)


def _name(part: Message) -> str:
    """Return an attachment's name; a message without one is called by its subject."""
    if name := file_name(part):
        return name
    nested = nested_message(part)
    if nested is not None:
        return f"{header(nested, 'Subject') or 'message'}.eml"
    return f"attachment{mimetypes.guess_extension(part.get_content_type()) or ''}"


def _plain(name: str) -> str:
    """Return a name that a file of any system can have, without its suffix."""
    plain = one_line(_UNSAFE.sub(" ", name)).encode()[:_LONGEST_NAME].decode(errors="ignore")
    return plain.strip(" .") or "untitled"
