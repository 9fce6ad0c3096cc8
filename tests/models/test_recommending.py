"""One of several files is recommended, and all are drawn."""

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from groundling.models import memory
from groundling.models.comparing import Compared, Interval, Speed
from groundling.models.gguf import GgufHeader, Tensor
from groundling.models.recommending import picture, recommend
from groundling.settings import load

ONE, SPEED = Interval(1, 1, 1), Speed(1, 1, 1)
SVG = "{http://www.w3.org/2000/svg}"


def row(name: str, megabytes: float, mean: float, spread: float = 0.1) -> Compared:
    nats = Interval(mean, mean * (1 - spread), mean * (1 + spread))
    return Compared(name, int(megabytes * 1e6), 510, ONE, ONE, nats, ONE, 0.0, SPEED, SPEED)


FILES = [
    row("reference F16", 3000, 0.0), row("Q8_0", 1600, 0.0006), row("Q6_K", 1250, 0.004),
    row("Q4_K_M", 980, 0.04), row("Q2_K", 700, 0.4),
]  # fmt: skip


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> object:
    """Return a function that says how much memory is free, in GB; files are of their sizes."""

    def header(path: Path) -> GgufHeader:
        size = int(float(path.name) * 1e6)
        metadata = {
            "general.architecture": "qwen2", "qwen2.context_length": 32768, "qwen2.block_count": 28,
            "qwen2.embedding_length": 1536, "qwen2.attention.head_count": 12,
            "qwen2.attention.head_count_kv": 2, "qwen2.feed_forward_length": 8960,
        }  # fmt: skip
        return GgufHeader(path, 3, size, size, 1, metadata, 151_936, {"w": Tensor((1, 1), 0)})

    monkeypatch.setattr("groundling.models.recommending.read_gguf", header)
    return lambda gigabytes: monkeypatch.setattr(
        memory, "available_memory", lambda: int(gigabytes * 1e9)
    )


def recommended(files: list[Compared] = FILES, **model: object) -> str:
    rows = [(Path(f"{each.bytes / 1e6}"), each) for each in files]
    return recommend(rows, load({"model": model})).name


def test_the_smallest_that_nobody_can_tell(free) -> None:  # type: ignore[no-untyped-def]
    free(20)
    assert recommended() == "Q6_K"  # of larger ones there is room, and nothing to gain
    assert recommended(FILES[:2]) == "Q8_0"
    assert recommended([FILES[0], *FILES[3:]]) == "reference F16"


def test_with_little_memory_the_closest_that_fits(free) -> None:  # type: ignore[no-untyped-def]
    free(2.6)  # of which 60 % may be taken
    assert recommended() == "Q4_K_M"
    free(2.1)
    assert recommended() == "Q2_K"
    free(1.0)
    rows = [(Path(f"{each.bytes / 1e6}"), each) for each in FILES]
    found = recommend(rows, load())
    assert found.name == "Q2_K"
    assert "None of them fits well into 1.0 GB" in found.reason
    assert "takes 1." in found.reason


def test_the_context_counts(free) -> None:  # type: ignore[no-untyped-def]
    free(3.9)
    assert recommended(context=4096) == "Q6_K"
    assert recommended(context=16384) == "Q4_K_M"
    assert recommended(context=16384, cache_type="q8_0") == "Q6_K"


def test_an_uncertain_divergence_is_not_close(free) -> None:  # type: ignore[no-untyped-def]
    free(20)
    unsure = replace(FILES[2], divergence=Interval(0.009, 0.005, 0.013))
    assert recommended([*FILES[:2], unsure, *FILES[3:]]) == "Q8_0"


def texts(drawn: str) -> dict[str, tuple[float, float]]:
    root = ET.fromstring(drawn)
    return {
        str(each.text): (float(each.attrib["x"]), float(each.attrib["y"]))
        for each in root.iter(f"{SVG}text")
    }


def test_files_are_drawn_apart_and_inside() -> None:
    weighed = [row("plain/Q2_K", 700, 0.41), row("weighed/Q2_K", 700, 0.4), row("a<b&c", 705, 0.4)]
    drawn = picture([*FILES, *weighed, row("copy", 3000, 0.0)])
    root = ET.fromstring(drawn)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    dots = {
        (float(dot.attrib["cx"]), float(dot.attrib["cy"])): dot.attrib["fill"]
        for dot in root.iter(f"{SVG}circle")
    }
    assert len(dots) == len(FILES) - 1 + len(weighed) + 1 - 1  # two lie on one another
    assert all(0 < x < width and 0 < y < height for x, y in dots)
    labels = texts(drawn)
    names = [each.name for each in (*FILES, *weighed)]
    assert set(names) <= labels.keys()
    for name in names:
        x, y = labels[name]
        assert 0 < x < width - 7 * len(name)
        assert 10 < y < height
    crowded = [labels[each.name][1] for each in weighed] + [labels["Q2_K"][1]]
    gaps = [b - a for a, b in zip(sorted(crowded), sorted(crowded)[1:], strict=False)]
    assert min(gaps) >= 14
    # Smaller files lie further left, and closer ones lower.
    assert sorted(dots)[0][1] < sorted(dots)[-2][1]
    assert list(dots.values()).count("#fff") == 1  # the copy diverges by nothing: a ring


@pytest.mark.parametrize("largest", [110, 150, 300, 700, 799, 900, 990, 1090, 40_000])
def test_sizes_of_all_ranges_get_ticks(largest: float) -> None:
    drawn = picture([row("reference", 100, 0.0), row("other", largest, 0.1)])
    sizes = [text for text, (_, y) in texts(drawn).items() if y == 420 - 52 + 20]
    assert 3 <= len(sizes) <= 10
    assert float(sizes[-1].replace(",", "")) >= largest


def test_one_file_and_no_divergence_are_drawn_too() -> None:
    crowd = [row(f"very-long-name-{n}", 1000, 0.1) for n in range(60)]
    for rows in ([FILES[0]], [FILES[0], row("copy", 3000, 0.0)], [FILES[0], *crowd]):
        ET.fromstring(picture(rows))
