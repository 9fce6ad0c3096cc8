"""Which parts of a message are its text, and which are attached to it (MIME, RFC 2046)."""

from __future__ import annotations

from email.message import Message

from groundling.knowledge.loaders.mail_text import body, file_name


def parts_of(part: Message) -> tuple[list[Message], list[Message]]:
    """Return the parts that a reader sees as the text, and the attached ones, in order.

    Of alternatives the plain text is taken, where it says something, else the HTML; what is
    attached to any of them is kept. Pictures that stand inside of the text are neither.
    """
    if part.get_content_maintype() == "multipart" and part.is_multipart():
        each = [parts_of(child) for child in _children(part)]
        alternative = part.get_content_type() == "multipart/alternative"
        texts = [bodies for bodies, _ in each if bodies]
        if alternative and texts:
            texts = [_best(texts)]
        return [one for bodies in texts for one in bodies], [
            one for _, also in each for one in also
        ]
    if part.get_content_maintype() == "text" and not _is_attached(part):
        return [part], []
    inside = part.get_content_maintype() == "image" and "Content-ID" in part
    return [], [] if inside else [part]


def nested_message(part: Message) -> Message | None:
    """Return the message that a part is, such as one that was forwarded."""
    if part.get_content_type() in ("message/rfc822", "message/global"):
        return next(iter(_children(part)), None)
    return None


def _best(alternatives: list[list[Message]]) -> list[Message]:
    for kind in ("text/plain", "text/html"):
        for bodies in alternatives:
            if any(one.get_content_type() == kind and body(one).strip() for one in bodies):
                return bodies
    return alternatives[-1]


def _children(part: Message) -> list[Message]:
    payload = part.get_payload()
    children = payload if isinstance(payload, list) else []
    return [child for child in children if isinstance(child, Message)]


def _is_attached(part: Message) -> bool:
    return part.get_content_disposition() == "attachment" or bool(file_name(part))
