"""Messages and boxes of them, as programs of every age have written them."""

from __future__ import annotations

import base64
import mailbox as standard_mailbox
import tracemalloc
import zipfile
from email.message import EmailMessage
from pathlib import Path

import docx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.errors import DocumentError
from groundling.knowledge.loaders import mail, mailbox
from groundling.knowledge.loaders.document import storable
from groundling.knowledge.loaders.mail import mail_members, read_mail
from groundling.knowledge.loaders.mail_text import decoded, decoded_words
from groundling.knowledge.loaders.registry import load, members


def message(subject: str = "휴가 안내", text: str = "연차는 15일입니다.") -> EmailMessage:
    made = EmailMessage()
    made["From"] = "김민수 <minsu@example.kr>"
    made["To"] = "all@example.kr"
    made["Date"] = "Sat, 02 Mar 2024 09:05:00 +0900"
    made["Subject"] = subject
    made.set_content(text)
    return made


def saved(path: Path, made: EmailMessage | bytes) -> Path:
    path.write_bytes(made if isinstance(made, bytes) else made.as_bytes())
    return path


HEADERS = (
    "From: 김민수 <minsu@example.kr>\nTo: all@example.kr\nDate: 2024-03-02 09:05 +0900\n"
    "Subject: 휴가 안내"
)


def test_a_message(tmp_path: Path) -> None:
    document = load(saved(tmp_path / "a.eml", message()))
    assert document.text == f"{HEADERS}\n\n연차는 15일입니다.\n\n"
    assert (document.title, document.format) == ("휴가 안내", "eml")


def test_plain_text_is_taken_before_html(tmp_path: Path) -> None:
    made = message()
    made.add_alternative("<h1>다른 글</h1>", subtype="html")
    assert "다른 글" not in load(saved(tmp_path / "a.eml", made)).text


def test_html_where_the_plain_text_says_nothing(tmp_path: Path) -> None:
    made = message(text=" \n")
    made.add_alternative("<h1>Rules</h1><p>15 days &amp; more</p>", subtype="html")
    picture = made.get_payload()[1]
    picture.add_related(b"GIF89a", maintype="image", subtype="gif", cid="<a>")
    document = load(saved(tmp_path / "a.eml", made))
    assert document.text == f"{HEADERS}\n\n# Rules\n\n15 days & more\n\n"
    assert document.text[document.headings[0].start :].startswith("# Rules")


def test_an_attachment_of_one_alternative_is_kept(tmp_path: Path) -> None:
    made = message()
    made.add_alternative("<p>html</p>", subtype="html")
    made.get_payload()[1].add_attachment("a,b\n1,2\n", subtype="csv", filename="표.csv")
    document = load(saved(tmp_path / "a.eml", made))
    assert document.text.endswith("연차는 15일입니다.\n\n## 표.csv\n\na | b\n1 | 2\n\n")


def test_attachments_become_sections(tmp_path: Path) -> None:
    word = docx.Document()
    word.add_heading("연차", 1)
    table = word.add_table(rows=2, cols=2)
    table.cell(0, 0).text, table.cell(1, 1).text = "구분", "15일"
    word.save(str(tmp_path / "a.docx"))
    made = message()
    made.add_attachment(
        (tmp_path / "a.docx").read_bytes(),
        maintype="application",
        subtype="octet-stream",
        filename="휴가/규정.docx",
    )
    made.add_attachment(b"MZ", maintype="application", subtype="x-dosexec", filename="a.exe")
    made.add_attachment("Title\n=====\n\ntext", subtype="markdown", filename="../notes.md")
    made.add_attachment(b"%PDF-", maintype="application", subtype="zip", filename="bad.docx")
    document = load(saved(tmp_path / "a.eml", made))
    assert "\nAttachments: 휴가/규정.docx, a.exe, ../notes.md, bad.docx\n\n" in document.text
    assert [(h.level, h.title) for h in document.headings] == [
        *((2, "휴가/규정.docx"), (3, "연차"), (2, "../notes.md"), (3, "Title"), (2, "bad.docx")),
    ]
    for heading in document.headings:
        assert document.text[heading.start :].lstrip("# ").startswith(heading.title)
    [noted] = document.tables
    assert document.text[noted.start : noted.end] == "구분 | \n | 15일"
    assert "## bad.docx\n\n(not read: bad.docx is not a readable Word document" in document.text
    assert not list(tmp_path.parent.rglob("notes.md"))


def test_archives_in_a_mail_are_named_only(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.txt", "inside")
    made = message()
    data = (tmp_path / "a.zip").read_bytes()
    made.add_attachment(data, maintype="application", subtype="zip", filename="a.zip")
    document = load(saved(tmp_path / "a.eml", made))
    assert "Attachments: a.zip" in document.text
    assert "inside" not in document.text


def test_bounds_of_attachments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "MOST_ATTACHMENTS", 2)
    monkeypatch.setattr(mail, "MOST_ATTACHMENT_BYTES", 1_000_000)
    made = message()
    made.add_attachment(b"a" * 2_000_000, maintype="text", subtype="plain", filename="big.txt")
    made.add_attachment("two", filename="2.txt")
    made.add_attachment("three", filename="3.txt")
    text = load(saved(tmp_path / "a.eml", made)).text
    assert "(not read: big.txt has 2 MB; of an attachment at most 1 MB are read.)" in text
    assert "## 2.txt\n\ntwo\n\n" in text
    assert "## 3.txt\n\n(not read: 3.txt comes after more than a mail may hold.)" in text


def test_messages_in_messages_to_a_depth(tmp_path: Path) -> None:
    inner = message("depth 5", "text 5")
    for depth in (4, 3, 2, 1, 0):
        outer = message(f"depth {depth}", f"text {depth}")
        outer.add_attachment(inner)
        inner = outer
    document = load(saved(tmp_path / "a.eml", inner))
    assert [(h.level, h.title) for h in document.headings] == [
        *((2, "depth 1.eml"), (3, "depth 2.eml"), (4, "depth 3.eml"), (5, "depth 4.eml")),
    ]
    assert "text 3" in document.text
    assert document.text.endswith("(not read: depth 4.eml is more than 3 messages deep.)\n\n")


def test_a_mail_attached_as_a_file(tmp_path: Path) -> None:
    made = message()
    data = message("안쪽", "inner text").as_bytes()
    made.add_attachment(data, maintype="application", subtype="octet-stream", filename="b.EML")
    made.add_attachment("no mail", filename="c.eml")
    text = load(saved(tmp_path / "a.eml", made)).text
    assert "## b.EML\n\nFrom: 김민수" in text
    assert "inner text" in text
    assert text.endswith("## c.eml\n\n(not read: c.eml is not a mail.)\n\n")


# encodings


KOREAN = "안녕하세요, 똠방각하 펲시 연차 휴가 안내입니다."  # 똠 and 펲 are in CP949 only


@pytest.mark.parametrize("charset", ["euc-kr", "ks_c_5601-1987", "KSC5601", "cp949", "EUC_KR"])
@pytest.mark.parametrize("transfer", ["8bit", "base64"])
def test_korean_bodies(tmp_path: Path, charset: str, transfer: str) -> None:
    data = KOREAN.encode("cp949")
    if transfer == "base64":
        data = base64.encodebytes(data)
    raw = (
        f"Subject: a\nMIME-Version: 1.0\nContent-Type: text/plain; charset={charset}\n"
        f"Content-Transfer-Encoding: {transfer}\n\n"
    ).encode() + data
    assert KOREAN in load(saved(tmp_path / "a.eml", raw)).text


@pytest.mark.parametrize(
    "charset",
    [
        *("utf-8", "us-ascii", "no-such-charset", "hex", "rot13", "idna", "undefined", "mbcs"),
        *("unicode_escape", "punycode", "x\0y", '"'),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "cp949"])
def test_wrong_charsets(tmp_path: Path, charset: str, encoding: str) -> None:
    raw = f"Subject: a\nContent-Type: text/plain; charset={charset}\n\n".encode()
    assert KOREAN in load(saved(tmp_path / "a.eml", raw + KOREAN.encode(encoding))).text


def test_what_is_called_latin_1_may_be_utf_8(tmp_path: Path) -> None:
    raw = b"Subject: a\nContent-Type: text/plain; charset=iso-8859-1\n\n"
    assert KOREAN in load(saved(tmp_path / "a.eml", raw + KOREAN.encode())).text
    assert "größer" in load(saved(tmp_path / "a.eml", raw + "größer".encode("latin-1"))).text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"=?EUC-KR?B?v6zC9yDI3rChIL7Is7s=?=", "연차 휴가 안내"),
        # One character cut in two, between words of the same charset.
        (b"=?ks_c_5601-1987?B?v6zC?=\n =?ks_c_5601-1987?B?9w==?=", "연차"),
        (b"=?utf-8?q?=EC=97=B0?= report =?utf-8?q?=EC=B0=A8?=", "연 report 차"),
        ("연차 안내".encode("cp949") * 3, "연차 안내" * 3),
        ("연차 안내".encode(), "연차 안내"),
        (b"=?utf-8?b?abcde?=", "=?utf-8?b?abcde?="),
        (b"=?no-such?q?abc?=", "abc"),
        (b"plain\n\tfolded", "plain folded"),
    ],
)
def test_subjects(raw: bytes, text: str) -> None:
    document = read_mail(b"Subject: " + raw + b"\n\nbody", "a.eml")
    assert document.title == text
    assert document.text.startswith(f"Subject: {text}\n\n")


@pytest.mark.parametrize(
    "raw",
    [
        b'attachment; filename="=?euc-kr?B?vuC0wy50eHQ=?="',
        b"attachment; filename*=euc-kr''%BE%E0%B4%C3.txt",
        b"attachment; filename*0*=utf-8''%EC%95%BD; filename*1*=%EB%8A%98.txt",
        b'attachment; filename="' + "약늘.txt".encode("cp949") + b'"',
    ],
)
def test_names_of_attachments(raw: bytes) -> None:
    data = b"Subject: a\nContent-Type: text/plain\nContent-Disposition: " + raw + b"\n\nwithin"
    assert "## 약늘.txt\n\nwithin" in read_mail(data, "a.eml").text


def test_flowed_lines_are_joined() -> None:
    head = b"Subject: a\nContent-Type: text/plain; format=flowed\n\n"
    text = read_mail(head + b"One \nline.\n> quoted \n> two\n-- \nKim\n", "a.eml").text
    assert text == "Subject: a\n\nOne line.\n> quoted \n> two\n-- \nKim\n\n"


@given(st.binary(max_size=60), st.sampled_from(["utf-8", "latin-1", "euc-kr", "utf-7", "x", ""]))
def test_any_bytes_have_a_text(data: bytes, charset: str) -> None:
    storable(decoded(data, charset))


@given(st.text(st.sampled_from("=?utf-8BbQq ab가\ud800\udcec\n"), max_size=60))
def test_any_header_has_a_text(raw: str) -> None:
    storable(decoded_words(raw)).encode()


@given(
    st.lists(
        st.sampled_from(
            [
                *(
                    b"Subject: a",
                    b"Content-Type: multipart/mixed; boundary=x",
                    b"--x",
                    b"--x--",
                    b"",
                ),
                *(b"Content-Type: message/rfc822", b"Content-Type: text/html; charset=\xff"),
                *(b"Content-Type:", b"Content-Disposition: attachment; filename*=x", b" \xb0\xa1"),
                *(
                    b"Content-Transfer-Encoding: base64",
                    b"Content-Type: multipart/alternative",
                    b"From",
                ),
                *(b"Date: 1 Jan 99999999999999999999", b"Content-Disposition: ;;=;", b"<b>a</b>"),
            ]
        ),
        max_size=14,
    )
)
def test_broken_messages_are_read_or_refused(lines: list[bytes]) -> None:
    try:
        document = read_mail(b"\n".join(lines), "a.eml")
    except DocumentError:
        return
    document.text.encode()
    for heading in document.headings:
        assert document.text[heading.start :].lstrip("# ").startswith(heading.title)


# hostile


@pytest.mark.parametrize("data", [bytes(range(256)) * 20, b"PK\x03\x04 zip", b"just text\n", b"\n"])
def test_files_that_are_no_mail(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(DocumentError, match=r"a\.eml is not a mail"):
        load(saved(tmp_path / "a.eml", data))


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_truncated_mail_is_read_as_far_as_it_goes(tmp_path: Path, kept: float) -> None:
    made = message()
    made.add_attachment(b"text " * 1000, maintype="text", subtype="plain", filename="a.txt")
    data = made.as_bytes()
    assert "연차는 15일" in load(saved(tmp_path / "a.eml", data[: int(kept * len(data))])).text


def test_parts_nested_without_end(tmp_path: Path) -> None:
    data = b"Subject: a\n" + b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(5000)
    )
    with pytest.raises(DocumentError, match="nested too deeply"):
        load(saved(tmp_path / "a.eml", data))


def test_headers_without_end_are_cut() -> None:
    long = b"Content-Type: text/plain" + b'; a="' * 500_000 + b"\nSubject: " + b"=?a?q?" * 300_000
    document = read_mail(long + b"\n\nbody", "a.eml")
    assert document.text.endswith("body\n\n")
    assert len(document.title) <= 20_000


# boxes


def box(path: Path, *made: EmailMessage) -> Path:
    new = standard_mailbox.mbox(path)
    for one in made:
        new.add(one)
    new.close()
    return path


def test_a_box_of_mails(tmp_path: Path) -> None:
    path = box(
        tmp_path / "a.mbox",
        message("휴가/안내: ../a", "one\nFrom here on\n\nFrom now on"),
        message("", "two"),
        message("휴가/안내: ../a", "three"),
    )
    first, second, third = members(path)
    assert [one.name for one in (first, second, third)] == [
        *("0001 휴가 안내 .. a.eml", "0002.eml", "0003 휴가 안내 .. a.eml"),
    ]
    assert first.document is not None
    assert first.document.text.endswith("one\nFrom here on\n\nFrom now on\n\n")
    assert third.document is not None
    assert third.document.title == "휴가/안내: ../a"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_that_begin_like_a_message(tmp_path: Path, end: str) -> None:
    path = tmp_path / "a.mbox"
    lines = [
        *("From 1@xxx Sat Mar 02 09:05:00 +0000 2024", "Subject: one", "", "a", ""),
        *("From Seoul with love", ">From b", ">>From c", "From - Sat Mar  2 09:06:00 2024"),
        *("Subject: two", "", "d", ""),
    ]
    path.write_bytes(end.join(lines).encode())
    texts = [one.document.text for one in mail_members(path) if one.document]
    assert texts == [
        "Subject: one\n\na\n\nFrom Seoul with love\nFrom b\n>From c\n\n",
        "Subject: two\n\nd\n\n",
    ]


def test_a_box_without_times(tmp_path: Path) -> None:
    path = tmp_path / "a.mbox"
    path.write_bytes(b"From a\nSubject: one\n\na\nFrom b\n\nFrom c\nSubject: two\n\nb\n")
    assert [one.name for one in mail_members(path)] == ["0001 one.eml", "0002 two.eml"]


def test_messages_of_a_box_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.mbox"
    time = b"From - Sat Mar  2 09:06:00 2024\n"
    path.write_bytes(
        time
        + b"no mail\n"
        + time
        + b"Subject: big\n\n"
        + b"a" * 3000
        + b"\n"
        + time
        + b"Subject: c\n"
    )
    monkeypatch.setattr(mailbox, "MOST_MESSAGE_BYTES", 2000)
    first, second, third = mail_members(path)
    assert (first.document, second.document) == (None, None)
    assert "0001.eml is not a mail" in first.reason
    assert second.reason == "0002.eml is larger than a message may be."
    assert third.name == "0003 c.eml"


def test_a_file_that_is_no_box(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.mbox", b"Subject: a\n\nFrom b\n")
    with pytest.raises(DocumentError, match=r"a\.mbox is not a mailbox"):
        list(mail_members(path))


def test_of_a_box_one_message_is_held_at_a_time(tmp_path: Path) -> None:
    path = box(tmp_path / "a.mbox", *[message(text=f"{'text ' * 14}\n" * 500)] * 100)
    tracemalloc.start()
    count = sum(one.document is not None for one in mail_members(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 100
    assert peak < path.stat().st_size / 2
