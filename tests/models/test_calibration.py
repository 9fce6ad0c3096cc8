"""Measuring how a model runs best: what is kept, when it counts, and a real measurement."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundling.cli import main
from groundling.cli.output import Shell
from groundling.cli.prepare import open_home
from groundling.errors import ModelFileError, ModelTooBig
from groundling.models import calibration, engines, measuring
from groundling.models.calibration import (
    FOLDER,
    Calibration,
    Key,
    Row,
    as_measured,
    choose,
    load_calibration,
    save,
    thread_counts,
)
from groundling.models.calls import EngineSettings
from groundling.models.chat import ChatLlama
from groundling.models.measuring import measure

DEFAULT = Row(repack=False, threads=2, prefill=150, decode=12, together=30, memory=100)
QUICK = partial(measure, rounds=1, prompt=16, tokens=2)
SETTINGS = EngineSettings(context=512)

speeds = st.floats(0.01, 1e5)
rows = st.builds(
    Row,
    repack=st.booleans(),
    threads=st.integers(1, 256),
    prefill=speeds,
    decode=speeds,
    together=speeds,
    memory=st.integers(1, 2**40),
)


@pytest.fixture(autouse=True)
def undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test decide anew, and run on one thread count unless it says otherwise."""
    monkeypatch.setattr(calibration, "_decided", {})
    for module in (calibration, measuring):
        monkeypatch.setattr(module, "thread_counts", lambda: (2,))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file that stands for a model."""
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    return path


def calibrated(path: Path, *others: Row) -> Calibration:
    return Calibration(key=Key.of(path), rows=(DEFAULT, *others))


def faster(factor: float, **changes: Any) -> Row:
    quick = {name: getattr(DEFAULT, name) * factor for name in ("prefill", "decode", "together")}
    return DEFAULT.model_copy(update=quick | changes)


# Choosing


@given(st.lists(rows, min_size=1, max_size=6))
def test_nothing_answers_much_quicker_than_what_is_chosen(tried: list[Row]) -> None:
    chosen = choose(tried)
    quickest = min(row.answer_seconds for row in tried)
    assert chosen in tried
    assert chosen.answer_seconds * 0.95 <= quickest * (1 + 1e-9)
    assert chosen == tried[0] or chosen.answer_seconds == quickest < tried[0].answer_seconds


def test_a_gain_within_the_noise_keeps_the_default() -> None:
    assert choose([DEFAULT, faster(1.04, repack=True)]) == DEFAULT
    assert choose([DEFAULT, faster(1.06, repack=True)]).repack


def test_what_was_measured_beside_much_other_work_decides_nothing(file: Path) -> None:
    quick = faster(2, repack=True)
    made = calibrated(file, quick)
    assert (made.quiet, made.chosen) == (True, quick)
    disturbed = made.model_copy(update={"share": 0.4})
    assert (disturbed.quiet, disturbed.chosen) == (False, DEFAULT)


def test_an_answer_is_300_tokens_read_80_written_alone_and_40_together() -> None:
    row = Row(repack=False, threads=1, prefill=300, decode=80, together=40, memory=1)
    assert row.answer_seconds == pytest.approx(3)


def test_each_thread_count_is_tried_once_the_default_first() -> None:
    counts = thread_counts()
    assert counts[0] == calibration.default_threads()
    assert len(set(counts)) == len(counts)
    assert min(counts) >= 1


@pytest.mark.parametrize(
    ("default", "physical", "logical", "expected"),
    [
        (2, 2, 2, (2,)),
        (8, 8, 16, (8, 16)),
        (16, 16, 16, (16, 8)),
        (1, 1, 2, (1, 2)),
        (1, 1, 1, (1,)),
        (4, 8, 16, (4,)),
    ],
)
def test_thread_counts_of_machines(
    monkeypatch: pytest.MonkeyPatch,
    default: int,
    physical: int,
    logical: int,
    expected: tuple[int, ...],
) -> None:
    monkeypatch.setattr(calibration, "default_threads", lambda: default)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(logical), raising=False)
    counts = {False: physical, True: logical}
    monkeypatch.setattr(calibration.psutil, "cpu_count", lambda logical=True: counts[logical])
    assert thread_counts() == expected


# Keeping


@given(tried=st.lists(rows, min_size=1, max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_kept_comes_back(tmp_path: Path, file: Path, tried: list[Row]) -> None:
    made = Calibration(key=Key.of(file), rows=tuple(tried), skipped=("why",))
    place = save(tmp_path / "models", made)
    assert load_calibration(tmp_path / "models", file) == made
    assert [path.name for path in place.parent.iterdir()] == [place.name]


def test_nothing_is_known_of_what_was_not_measured(tmp_path: Path, file: Path) -> None:
    assert load_calibration(tmp_path / "models", file) is None
    save(tmp_path / "models", calibrated(file))
    assert load_calibration(tmp_path / "models", tmp_path / "gone.gguf") is None


def test_another_file_build_cpu_or_thread_count_is_another_measurement(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, calibrated(file))
    assert load_calibration(tmp_path, file) is not None
    assert load_calibration(tmp_path, file, threads=1) is None
    with monkeypatch.context() as patch:
        patch.setattr(calibration, "thread_counts", lambda: (4,))
        assert load_calibration(tmp_path, file) is None
    with monkeypatch.context() as patch:
        cpu = replace(calibration.read_cpu(), name="another CPU")
        patch.setattr(calibration, "read_cpu", lambda: cpu)
        assert load_calibration(tmp_path, file) is None
    with monkeypatch.context() as patch:
        build = replace(calibration.read_build(), version="0.0.1")
        patch.setattr(calibration, "read_build", lambda: build)
        assert load_calibration(tmp_path, file) is None
    file.write_bytes(b"GGUF, another one")
    assert load_calibration(tmp_path, file) is None


def test_a_file_of_the_store_is_known_by_its_hash_wherever_it_is(tmp_path: Path) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "sha256-abc").write_bytes(folder.encode())
    save(tmp_path, calibrated(tmp_path / "here" / "sha256-abc"))
    assert load_calibration(tmp_path, tmp_path / "there" / "sha256-abc") is not None


def test_a_path_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"m\xff.gguf")
    try:
        path.write_bytes(b"GGUF")
    except OSError:
        pytest.skip("this file system wants names that are text")
    save(tmp_path, calibrated(path))
    assert load_calibration(tmp_path, path) is not None


def _broken(whole: str) -> Iterator[bytes]:
    yield b""
    yield whole.encode()[:-20]
    yield b"\xff\xfe\x00"
    for name, value in {"threads": 0, "prefill": -1, "decode": "fast", "memory": None}.items():
        data = json.loads(whole)
        data["rows"][0][name] = value
        yield json.dumps(data).encode()
    yield json.dumps(json.loads(whole) | {"rows": []}).encode()
    yield json.dumps(json.loads(whole) | {"more": 1}).encode()
    yield whole.replace('"prefill": 150.0', '"prefill": Infinity').encode()


def test_a_broken_file_counts_as_none_and_is_replaced(tmp_path: Path, file: Path) -> None:
    made = calibrated(file)
    place = save(tmp_path, made)
    whole = place.read_text(encoding="utf-8")
    for content in _broken(whole):
        assert content != whole.encode()
        place.write_bytes(content)
        assert load_calibration(tmp_path, file) is None, content
    save(tmp_path, made)
    assert load_calibration(tmp_path, file) == made


def test_a_measurement_under_another_ones_name_does_not_count(tmp_path: Path, file: Path) -> None:
    made = calibrated(file)
    other = made.model_copy(update={"key": made.key.model_copy(update={"cpu": "another"})})
    made.key.place(tmp_path).parent.mkdir()
    made.key.place(tmp_path).write_text(other.model_dump_json(), encoding="utf-8")
    assert load_calibration(tmp_path, file) is None


# Applying


def test_without_a_measurement_the_default_is_safe(tmp_path: Path, file: Path) -> None:
    assert as_measured(tmp_path, file, SETTINGS, None) == replace(SETTINGS, repack=False)
    assert as_measured(tmp_path, file, SETTINGS, True).repack
    assert not as_measured(tmp_path, tmp_path / "gone", SETTINGS, None).repack


def test_what_was_measured_fills_what_is_open(tmp_path: Path, smollm2: Path) -> None:
    save(tmp_path, calibrated(smollm2, faster(2, repack=True, threads=3)))
    found = as_measured(tmp_path, smollm2, SETTINGS, None)
    assert (found.repack, found.threads) == (True, 3)
    assert as_measured(tmp_path, smollm2, SETTINGS, False).repack is False
    # Measured with other thread counts than the one that is set: it says nothing of that one.
    fixed = replace(SETTINGS, threads=1)
    assert as_measured(tmp_path, smollm2, fixed, None) == fixed


def test_a_process_decides_once(tmp_path: Path, smollm2: Path) -> None:
    before = as_measured(tmp_path, smollm2, SETTINGS, None)
    save(tmp_path, calibrated(smollm2, faster(2, repack=True)))
    assert as_measured(tmp_path, smollm2, SETTINGS, None) == before


def test_repacked_weights_that_no_longer_fit_are_left_out(
    tmp_path: Path, smollm2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, calibrated(smollm2, faster(2, repack=True, threads=3)))
    monkeypatch.setattr(calibration, "available_memory", lambda: 1000)
    found = as_measured(tmp_path, smollm2, SETTINGS, None)
    assert (found.repack, found.threads) == (False, 3)


@pytest.mark.model
def test_a_script_runs_as_measured(
    home: Path, smollm2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[EngineSettings] = []

    def record(path: Path, wanted: EngineSettings, **rest: Any) -> Any:
        used.append(wanted)
        return engines.engine_for(path, wanted, **rest)

    monkeypatch.setattr("groundling.models.chat.engine_for", record)
    save(home / "models", calibrated(smollm2, faster(2, repack=True, threads=1)))
    ChatLlama(model=str(smollm2), context=256).get_token_ids("Hi")
    ChatLlama(model=str(smollm2), context=256, repack=False, threads=2).get_token_ids("Hi")
    assert [(one.repack, one.threads) for one in used] == [(True, 1), (False, 2)]


# Measuring


@pytest.mark.model
def test_each_candidate_is_measured_and_the_progress_ends_at_one(
    smollm2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "thread_counts", lambda: (2, 1))
    shares: list[float] = []
    made = QUICK(smollm2, SETTINGS, shares.append)
    ways = [(row.repack, row.threads) for row in made.rows]
    assert ways[:2] == [(False, 2), (False, 1)]
    assert ways[2:] in ([(True, 2)], [(True, 1)])
    assert made.skipped == ()
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    assert 0 < made.share <= 1
    assert made.rows[2].memory > made.rows[0].memory
    assert made.key == Key.of(smollm2)


@pytest.mark.model
def test_repacked_weights_that_would_crash_are_not_tried(
    smollm2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "extra_buffers_safe", lambda *_: False)
    made = QUICK(smollm2, replace(SETTINGS, threads=1))
    assert [(row.repack, row.threads) for row in made.rows] == [(False, 1)]
    assert "crash" in made.skipped[0]
    assert not measuring.worth_measuring(smollm2, SETTINGS)


def test_repacked_weights_that_do_not_fit_are_not_tried(
    smollm2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert measuring.worth_measuring(smollm2, SETTINGS)
    monkeypatch.setattr(measuring, "available_memory", lambda: 1000)
    assert not measuring.worth_measuring(smollm2, SETTINGS)
    monkeypatch.setattr(measuring, "thread_counts", lambda: (2, 4))
    assert measuring.worth_measuring(smollm2, SETTINGS)


@pytest.mark.model
def test_a_candidate_that_does_not_fit_beside_the_first_is_left_out(
    smollm2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(measuring.Context):
        def __init__(self, path: Path, wanted: EngineSettings) -> None:
            if wanted.repack:
                raise ModelTooBig("no room")
            super().__init__(path, wanted)

    monkeypatch.setattr(measuring, "Context", Full)
    made = QUICK(smollm2, SETTINGS)
    assert [row.repack for row in made.rows] == [False]
    assert made.skipped == ("repacked weights: no room",)


def test_what_is_no_model_cannot_be_measured(file: Path) -> None:
    with pytest.raises(ModelFileError, match=r"model\.gguf"):
        measure(file, SETTINGS)


# The commands


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main([*arguments])
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out, captured.err


@pytest.mark.model
def test_the_command_shows_a_table_and_where_it_is_kept(
    home: Path,
    smollm2: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measuring, "measure", QUICK)
    code, out, err = run(capsys, "model", "measure", str(smollm2))
    assert code == 0
    assert "about 5 s" in err
    table, _, rest = out.partition("* is used from now on")
    assert "as in the file" in table
    assert "repacked" in table
    assert [line[0] for line in table.splitlines()].count("*") == 1
    assert str(home / "models" / FOLDER) in rest
    code, out, _ = run(capsys, "model", "measure", str(smollm2), "--json")
    found = json.loads(out)
    kept = load_calibration(home / "models", smollm2)
    assert kept is not None
    assert [row["chosen"] for row in found["rows"]] == [row == kept.chosen for row in kept.rows]
    assert Path(found["path"]).is_file()


def test_a_model_that_a_server_runs_is_not_measured_here(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUNDLING_MODEL__BASE_URL", "http://127.0.0.1:9/v1")
    code, _, err = run(capsys, "model", "measure")
    assert code == 4
    assert "runs on http://127.0.0.1:9/v1" in err


def _shell(path: Path, **model: Any) -> Shell:
    shell = Shell()
    shell.flags = {"model": {"name": str(path), "context": 512, **model}}
    return shell


@pytest.mark.model
def test_the_first_use_measures_and_the_second_does_not(
    home: Path,
    smollm2: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measuring, "measure", QUICK)
    for wishes in ({"measure": False}, {"repack": True, "threads": 1}):
        open_home(_shell(smollm2, **wishes), documents=False).close()
        assert not (home / "models" / FOLDER).exists()
    open_home(_shell(smollm2), documents=False).close()
    assert "Measuring" in capsys.readouterr().err
    assert load_calibration(home / "models", smollm2) is not None
    open_home(_shell(smollm2), documents=False).close()
    assert capsys.readouterr().err == ""


@pytest.mark.model
def test_an_interrupted_measurement_keeps_nothing_and_says_how_to_go_without(
    home: Path,
    smollm2: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(path: Path, wanted: EngineSettings, report: Any) -> Calibration:
        def stop(share: float) -> None:
            raise KeyboardInterrupt

        return QUICK(path, wanted, stop)

    monkeypatch.setattr(measuring, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        open_home(_shell(smollm2), documents=False)
    assert "groundling config set model.measure false" in capsys.readouterr().err
    assert not (home / "models" / FOLDER).exists()


@pytest.mark.model
def test_a_folder_that_cannot_be_written_does_not_stop_the_question(
    home: Path,
    smollm2: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def disturbed(*arguments: Any) -> Calibration:
        return QUICK(*arguments).model_copy(update={"share": 0.4})

    monkeypatch.setattr(measuring, "measure", disturbed)
    (home / "models").mkdir(parents=True)
    (home / "models" / FOLDER).write_text("a file where the folder should be")
    open_home(_shell(smollm2), documents=False).close()
    err = capsys.readouterr().err
    assert "could not be kept" in err
    assert "other work left 40% of the processors" in err
