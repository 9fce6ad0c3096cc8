"""`groundling model quantize|compare|merge`: what a person reads, and what goes wrong."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from groundling.cli import main, model_quantize
from groundling.cli.model_quantize import _change, _labels, _table
from groundling.models.adapter_shelf import AdapterCard, AdapterShelf, fingerprint
from groundling.models.comparing import Compared, Interval, Speed
from groundling.models.gguf import read_gguf
from groundling.models.quantising import TYPES
from groundling.settings import load
from tests.models.make_gguf import make_adapter

kinds = st.sampled_from(sorted(TYPES))


@given(st.lists(kinds, min_size=1, max_size=8, unique=True), st.text("abc-.", max_size=60))
def test_a_file_is_called_by_its_type(types: list[str], model: str) -> None:
    files = [Path("smaller") / f"{model}m-{kind}.gguf" for kind in types]
    assert _labels(files) == types


def test_files_of_one_type_are_told_apart_by_their_folders() -> None:
    files = [
        Path("plain/m-Q3_K_M.gguf"),
        Path("weighed/m-Q3_K_M.gguf"),
        Path("weighed/m-Q8_0.gguf"),
    ]
    assert _labels(files) == ["plain/Q3_K_M", "weighed/Q3_K_M", "Q8_0"]


def test_a_file_without_a_type_keeps_the_end_of_its_name() -> None:
    assert _labels([Path("my-very-long-model-of-biomedicine.gguf")]) == ["del-of-biomedicine"]


SPEED = Speed(123.4, 100.0, 150.0)
ROW = Compared(
    "weighed/IQ3_XXS", 1_894_532_160, 510, Interval(12.345, 10.1, 14.9),
    Interval(1.0123, 1.0083, 1.0163), Interval(0.12345, 0.1, 0.15), Interval(0.987, 0.975, 0.995),
    0.05, SPEED, Speed(45.6, 44.0, 47.0),
)  # fmt: skip


def test_names_and_figures_fit_into_eighty_columns() -> None:
    console = Console(width=80, record=True)
    with console.capture() as shown:
        console.print(_table([replace(ROW, name="reference IQ3_XXS"), ROW]))
    lines = shown.get().splitlines()
    assert max(map(len, lines)) <= 80
    for part in (
        "weighed/IQ3_XXS", "12.35 +1.2% ±0.4", "0.1235 ±0.0250", "98.7 ±1.0", "123/s", "45.6/s",
    ):  # fmt: skip
        assert part in lines[2]
    assert "±" not in lines[1]  # the reference is what it is
    assert "…" not in shown.get()


@pytest.mark.parametrize(
    ("ratio", "told"),
    [
        (Interval(0.998, 0.99, 1.006), "-0.2% ±0.8"),
        (Interval(0.9997, 0.9957, 1.0037), "+0.0% ±0.4"),
        (Interval(1.5, 1.4, 1.6), "+50.0% ±10.0"),
        (Interval(1234.5, 1000, 1500), "×1.23e+03"),
    ],
)
def test_a_change_is_short(ratio: Interval, told: str) -> None:
    assert _change(ratio) == told


@pytest.mark.model
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("quantize", "MODEL", "--types", "Q8_0,Q9"), "There is no type Q9."),
        (("quantize", "MODEL", "--types", "IQ2_M"), "only usable with an importance matrix"),
        (("quantize", "nobody", "--types", "Q8_0"), "nobody"),
    ],
)
def test_what_cannot_be_made_is_told(
    arguments: tuple[str, ...],
    told: str,
    home: Path,
    smollm2: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = [str(smollm2) if word == "MODEL" else word for word in arguments]
    with pytest.raises(SystemExit) as stop:
        main(["model", *words, "--out", str(tmp_path / "out")])
    assert stop.value.code == 4
    assert told in capsys.readouterr().err
    assert list((tmp_path / "out").glob("*")) == []


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["model", *map(str, words)])
    assert isinstance(stop.value.code, int)
    return stop.value.code


@pytest.mark.model
def test_files_that_are_there_are_kept(
    home: Path, smollm2: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.gguf").symlink_to(smollm2)
    words = ["quantize", tmp_path / "m.gguf", "--out", tmp_path, "--types", "Q5_0,Q4_0"]
    (tmp_path / "m-Q4_0.gguf").write_bytes(b"mine")
    assert run(*words) == 4
    assert "m-Q4_0.gguf is there already; nothing was written." in capsys.readouterr().err
    assert not (tmp_path / "m-Q5_0.gguf").exists()
    assert (tmp_path / "m-Q4_0.gguf").read_bytes() == b"mine"
    assert run(*words[:-1], "q4_0, q4_0", "--force", "--json") == 0
    told = capsys.readouterr()
    (one,) = json.loads(told.out)
    assert one["type"] == "Q4_0"
    assert one["bytes"] == (tmp_path / "m-Q4_0.gguf").stat().st_size > 4
    assert one["seconds"] > 0
    assert "The source is Q4_1 already." in told.err


@pytest.mark.model
def test_what_has_no_blocks_is_told(
    home: Path, smollm2: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("quantize", smollm2, "--out", tmp_path / "new" / "folder", "--types", "Q4_K_S") == 0
    told = capsys.readouterr()
    assert "181 of 211 matrices have rows of no multiple of 256 numbers" in told.err
    assert "for which Q4_K_S has no blocks" in told.err
    assert "model compare" in told.err
    assert "MB" in told.out


@pytest.mark.model
@pytest.mark.parametrize("words", [b"", b"A few words."])
def test_texts_that_are_too_short(
    words: bytes, home: Path, smollm2: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "text.txt"
    text.write_bytes(words)
    given = ["--types", "Q2_K", "--out", tmp_path / "out", "--importance", text]
    assert run("quantize", smollm2, *given) == 15
    assert "at least 256 are needed" in capsys.readouterr().err
    assert run("compare", smollm2, smollm2, "--text", text) == 4
    assert "64 are the least" in capsys.readouterr().err
    assert run("compare", smollm2, smollm2, "--text", tmp_path / "none.txt") == 2
    assert "does not exist" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.model
def test_a_drawing_with_no_place_is_told_before_anything_is_measured(
    home: Path, smollm2: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot = tmp_path / "no" / "such.svg"
    assert run("compare", smollm2, smollm2, "--plot", plot, "--json") == 4
    told = capsys.readouterr()
    assert told.out == ""
    assert "such.svg cannot be written; nothing was measured." in told.err


@pytest.mark.model
def test_what_was_measured_is_told_whatever_becomes_of_the_drawing(
    home: Path,
    smollm2: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = tmp_path / "text.txt"
    text.write_bytes("Wir kündigen den Vertrag über die Räume. ".encode("cp1252") * 12)
    monkeypatch.setattr(model_quantize, "_check_writable", lambda _: None)
    words = ["compare", smollm2, smollm2, "--tokens", 64, "--text", text, "--json"]
    assert run(*words, "--plot", tmp_path / "no" / "such.svg") == 4
    told = capsys.readouterr()
    assert json.loads(told.out)["rows"][0]["tokens"] == 64
    assert "such.svg cannot be written" in told.err


@pytest.mark.model
def test_a_merged_model_spares_what_is_there(
    home: Path, smollm2: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load({"model": {"name": str(smollm2)}})
    adapter = make_adapter(
        tmp_path / "a.gguf", read_gguf(smollm2), ["blk.0.attn_q.weight"], size=0.05
    )
    card = AdapterCard("bot", fingerprint(smollm2), "smollm2", "2026-11-27T00:00:00+00:00")
    AdapterShelf(settings.adapters_path).add(adapter, card)
    target = tmp_path / "bot.gguf"
    target.write_bytes(b"mine")
    words = ["--model", smollm2, "model", "merge", "bot", target, "--type", "q8_0"]
    for more, code in (([], 4), (["--force"], 0)):
        with pytest.raises(SystemExit) as stop:
            main([str(word) for word in (*words, *more)])
        assert stop.value.code == code
        assert (target.read_bytes() == b"mine") == (not more)
    assert "bot.gguf is there already" in capsys.readouterr().err
    assert read_gguf(target).file_type == TYPES["Q8_0"]
