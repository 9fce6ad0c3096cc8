"""`groundling model quantize|compare|merge`: what a person reads, and what goes wrong."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from groundling.cli import main
from groundling.cli.model_quantize import _labels, _table
from groundling.models.comparing import Compared, Interval
from groundling.models.quantising import TYPES

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


def test_names_and_figures_fit_into_eighty_columns() -> None:
    row = Compared(
        "weighed/IQ3_XXS", 1_894_532_160, 512, Interval(12.345, 10.1, 14.9),
        Interval(0.12345, 0.1, 0.15), 0.987, 123.4, 45.6,
    )  # fmt: skip
    console = Console(width=80, record=True)
    with console.capture() as shown:
        console.print(_table([replace(row, name="reference"), row]))
    lines = shown.get().splitlines()
    assert max(map(len, lines)) <= 80
    assert "weighed/IQ3_XXS" in lines[2]
    assert "0.1235 [0.1000, 0.1500]" in lines[2]
    assert "12.35 ±2.40" in lines[2]
    assert "…" not in shown.get()


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


@pytest.mark.model
def test_what_was_measured_is_told_whatever_becomes_of_the_drawing(
    home: Path, smollm2: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "text.txt"
    text.write_bytes("Wir kündigen den Vertrag über die Räume. ".encode("cp1252") * 12)
    plot = tmp_path / "no" / "such.svg"
    words = ["compare", smollm2, smollm2, "--tokens", 64, "--text", text, "--plot", plot, "--json"]
    with pytest.raises(SystemExit) as stop:
        main(["model", *map(str, words)])
    assert stop.value.code == 4
    told = capsys.readouterr()
    assert json.loads(told.out)["rows"][0]["tokens"] == 64
    assert "such.svg cannot be written" in told.err
