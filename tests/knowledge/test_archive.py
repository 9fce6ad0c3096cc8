"""ZIP archives: ordinary ones, those of Korean Windows, and hostile ones."""

from __future__ import annotations

import stat
import struct
import tempfile
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import docx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.errors import DocumentError
from groundling.knowledge.loaders import archive
from groundling.knowledge.loaders.members import Member
from groundling.knowledge.loaders.registry import members

KOREAN = "연차 휴가는 한 해에 열다섯 날이다."


def zipped(path: Path, files: dict[str, bytes | str], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as package:
        for name, content in files.items():
            package.writestr(name, content)
    return path


def read(path: Path) -> dict[str, Member]:
    found = list(members(path))
    by_name = {member.name: member for member in found}
    assert len(by_name) == len(found)
    return by_name


def patched(path: Path, change: Callable[[bytearray, int, int], None]) -> Path:
    """Change the first entry: its place in the list at the end, and its local header's."""
    data = bytearray(path.read_bytes())
    change(data, data.index(b"PK\x01\x02"), data.index(b"PK\x03\x04"))
    path.write_bytes(data)
    return path


def test_members_are_documents(tmp_path: Path) -> None:
    word = docx.Document()
    word.add_paragraph("출장비는 하루 8만 원.")
    word.save(str(tmp_path / "w.docx"))
    path = zipped(
        tmp_path / "a.zip",
        {
            "규정/휴가.md": f"# 휴가\n\n{KOREAN}",
            "rules/travel.txt": "By train.".encode("cp949"),
            "출장.docx": (tmp_path / "w.docx").read_bytes(),
            "images/plan.png": b"\x89PNG",
            "rules/": b"",
            "__MACOSX/규정/._휴가.md": b"\x00\x05\x16\x07",
            ".git/readme.md": "hidden",
            "rules/.hidden.txt": "hidden",
            "empty.txt": b"",
        },
    )
    found = read(path)
    assert list(found) == ["규정/휴가.md", "rules/travel.txt", "출장.docx", "empty.txt"]
    leave = found["규정/휴가.md"].document
    assert leave is not None
    assert (leave.title, leave.format) == ("휴가", "markdown")
    assert leave.headings[0].title == "휴가"
    travel = found["rules/travel.txt"].document
    assert travel is not None
    assert (travel.title, travel.text) == ("travel", "By train.")
    assert "8만 원" in (found["출장.docx"].document or travel).text
    assert found["empty.txt"] == Member("empty.txt", None, "empty.txt is empty: 0 bytes.")


@pytest.mark.parametrize("encoding", ["cp949", "utf-8", "shift_jis"])
def test_names_without_a_mark(tmp_path: Path, encoding: str) -> None:
    name = "日本語の規定について.txt" if encoding == "shift_jis" else "인사 규정/연차 휴가.txt"
    raw = name.encode(encoding)
    path = zipped(tmp_path / "a.zip", {"x" * len(raw): KOREAN})
    path.write_bytes(path.read_bytes().replace(b"x" * len(raw), raw))
    found = read(path)
    assert list(found) == [name]
    document = found[name].document
    assert document is not None
    assert (document.title, document.text) == (PurePosixPath(name).stem, KOREAN)


def test_decomposed_names_are_composed(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {unicodedata.normalize("NFD", "휴가.txt"): KOREAN})
    assert list(read(path)) == ["휴가.txt"]


def test_names_that_lead_elsewhere(tmp_path: Path) -> None:
    names = [
        "../../up.txt",
        "/etc/root.txt",
        "C:\\Windows\\drive.txt",
        "a/../../b.txt",
        "..\\c.txt",
    ]
    found = read(zipped(tmp_path / "a.zip", {**dict.fromkeys(names, "x"), "in\\side.txt": "y"}))
    assert list(found) == [
        "up.txt", "etc/root.txt", "Windows/drive.txt", "a/b.txt", "c.txt", "in/side.txt",
    ]  # fmt: skip
    for member in list(found.values())[:-1]:
        assert member.document is None
        assert "leads out of the archive" in member.reason
    assert found["in/side.txt"].document is not None
    assert [file.name for file in tmp_path.parent.rglob("up.txt")] == []


def test_names_are_unique(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as package:
        package.writestr("a.b/c.txt", "first")
        package.writestr("a.b//c.txt", "second")
        package.writestr("a.b/./c.txt", "third")
    found = read(path)
    assert list(found) == ["a.b/c.txt", "a.b/c (2).txt", "a.b/c (3).txt"]
    texts = [member.document.text for member in found.values() if member.document]
    assert texts == ["first", "second", "third"]


def test_a_name_longer_than_a_file_system_takes(tmp_path: Path) -> None:
    name = "긴 이름 " * 1000 + ".txt"
    (member,) = read(zipped(tmp_path / "a.zip", {name: KOREAN})).values()
    assert member.document is not None
    assert member.document.text == KOREAN


def test_links_and_devices(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as package:
        for name, kind in (("link.txt", stat.S_IFLNK), ("pipe.txt", stat.S_IFIFO)):
            info = zipfile.ZipInfo(name)
            info.external_attr = (kind | 0o777) << 16
            package.writestr(info, "/etc/passwd")
    for member in read(path).values():
        assert "is a link or a device" in member.reason


def test_archives_in_archives(tmp_path: Path) -> None:
    inner = zipped(tmp_path / "b.zip", {"a.txt": KOREAN}).read_bytes()
    found = read(zipped(tmp_path / "a.zip", {"b.zip": inner, "c.mbox": "From a\n", "d.txt": "x"}))
    assert "inside of an archive" in found["b.zip"].reason
    assert found["c.mbox"].document is None
    assert found["d.txt"].document is not None


def test_encrypted_members(tmp_path: Path) -> None:
    def encrypt(data: bytearray, entry: int, local: int) -> None:
        data[entry + 8] |= 1
        data[local + 6] |= 1

    path = patched(zipped(tmp_path / "a.zip", {"a.txt": "secret", "b.txt": "open"}), encrypt)
    found = read(path)
    assert found["a.txt"].reason.startswith("a.txt is encrypted. Unpack it with its password")
    assert found["b.txt"].document is not None


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_are_not_unpacked(tmp_path: Path, method: int) -> None:
    found = read(zipped(tmp_path / "a.zip", {"a.txt": "x"}, method))
    assert "packed with a method" in found["a.txt"].reason


@pytest.mark.parametrize("claimed", [100, 99_999, 100_001, 900_000])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_size_that_is_a_lie(tmp_path: Path, claimed: int, method: int) -> None:
    text = "".join(chr(97 + i * i % 26) for i in range(100_000))

    def lie(data: bytearray, entry: int, local: int) -> None:
        struct.pack_into("<L", data, entry + 24, claimed)
        struct.pack_into("<L", data, local + 22, claimed)

    path = patched(zipped(tmp_path / "a.zip", {"a.txt": text, "b.txt": "good"}, method), lie)
    found = read(path)
    assert "not what it claims" in found["a.txt"].reason
    assert found["b.txt"].document is not None


def test_a_bomb(tmp_path: Path) -> None:
    found = read(
        zipped(tmp_path / "a.zip", {"bomb.txt": b"0" * 20_000_000, "log.txt": "a\n" * 999})
    )
    assert found["bomb.txt"].reason == "bomb.txt unpacks to more than 200 times its size."
    assert found["log.txt"].document is not None


def test_bytes_of_all_members_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 1000)
    found = read(zipped(tmp_path / "a.zip", {f"{n}.txt": f"{n}" * 400 for n in range(4)}))
    assert [member.document is not None for member in found.values()] == [True, True, False, False]
    assert "the archive unpacks to more than" in found["2.txt"].reason


def test_members_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "a.zip", {f"{n}.txt": "x" for n in range(4)})
    monkeypatch.setattr(archive, "MAX_MEMBERS", 3)
    with pytest.raises(DocumentError, match=r"a\.zip has 4 members; at most 3 are read"):
        read(path)
    monkeypatch.setattr(archive, "_MOST_ENTRIES", 3)
    with pytest.raises(DocumentError, match=r"a\.zip has more than 3 members"):
        read(path)


def test_a_member_that_cannot_be_read_has_its_reason(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        "a.json": "{",
        "b.pdf": b"%PDF-1.4 no",
        "c.txt": b"\x01\x00" * 99,
    }
    found = read(zipped(tmp_path / "a.zip", {**files, "d.txt": KOREAN}))
    assert found["a.json"].reason.startswith("a.json is not JSON")
    assert "b.pdf" in found["b.pdf"].reason
    assert "c.txt is not text" in found["c.txt"].reason
    assert found["d.txt"].document is not None


def test_a_member_without_a_name_is_passed_over(tmp_path: Path) -> None:
    def unname(data: bytearray, entry: int, local: int) -> None:
        # The name's five letters become a part of the extra field, which ends where it did.
        struct.pack_into("<HH", data, entry + 28, 0, 5)
        data[entry + 46 : entry + 51] = b"zz\x01\x00z"

    path = patched(zipped(tmp_path / "a.zip", {"a.txt": "x", "b.txt": KOREAN}), unname)
    assert list(read(path)) == ["b.txt"]


def test_a_member_before_the_start_of_the_file(tmp_path: Path) -> None:
    def misplace(data: bytearray, entry: int, local: int) -> None:
        # The list seems to begin later than it does, so that places are counted from below 0.
        end = data.index(b"PK\x05\x06")
        (at,) = struct.unpack_from("<L", data, end + 16)
        struct.pack_into("<L", data, end + 16, at + 1000)

    path = patched(zipped(tmp_path / "a.zip", {"a.txt": KOREAN}), misplace)
    assert "is damaged" in read(path)["a.txt"].reason


@pytest.mark.parametrize(
    "content", [b"PK\x03\x04 not really", b"junk" * 100, b"PK\x05\x06" + b"\xff" * 18]
)
def test_no_archive(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    with pytest.raises(DocumentError, match=r"a\.zip is not a readable ZIP archive"):
        read(path)


@given(
    st.lists(st.tuples(st.integers(0, 399), st.integers(0, 255)), max_size=8), st.integers(0, 400)
)
def test_damage_anywhere_is_a_reason_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, damage: list[tuple[int, int]], keep: int
) -> None:
    path = tmp_path_factory.mktemp("zip") / "a.zip"
    data = bytearray(
        zipped(path, {"휴가.txt": KOREAN * 5, "b.md": "# B\n\ntext", "c.json": "[1]"}).read_bytes()
    )
    for place, byte in damage:
        data[place % len(data)] = byte
    path.write_bytes(data[: len(data) - keep if keep < 50 else len(data)])
    try:
        found = list(members(path))
    except DocumentError as error:
        found = [Member("a", None, str(error))]
    for member in found:
        assert (member.document is None) == bool(member.reason)
        assert not {"", ".", ".."} & set(member.name.split("/"))


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    reading = members(zipped(tmp_path / "a.zip", {"a.txt": KOREAN, "b.txt": "{", "c.json": "{"}))
    assert next(reading).document is not None
    (folder,) = temporary.iterdir()
    assert list(folder.iterdir()) == []
    assert len(list(reading)) == 2
    assert list(temporary.iterdir()) == []
