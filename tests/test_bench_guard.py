import json

import pytest
from click.testing import CliRunner

from bench.guard import FILES, Scored, calibrate, f1, main, share, table, texts

CALIBRATION, HELD_OUT = "00" * 32, "01" * 32


def scored(score, harmful, digest=CALIBRATION, language="en", name="AdvBench"):
    return Scored(name, language, digest, harmful, score)


def test_f1_counts_what_is_flagged_from_the_threshold_on():
    some = [scored(0.9, True), scored(0.5, True), scored(0.5, False), scored(0.1, False)]
    assert f1(some, 0.5) == pytest.approx(4 / 5)
    assert f1(some, 0.6) == pytest.approx(2 / 3)
    assert f1([], 0.5) == 0


def test_the_held_out_half_has_no_say_in_the_threshold():
    half = [scored(0.7, True), scored(0.4, False)]
    other = [scored(0.1, True, HELD_OUT), scored(0.95, False, HELD_OUT)]
    assert calibrate(half, "en") == calibrate([*half, *other], "en") == 0.45


def test_the_table_counts_the_held_out_half_by_language():
    some = [
        scored(0.9, True),
        scored(0.9, True, HELD_OUT),
        scored(0.9, False, HELD_OUT, name="MT-Bench"),
        scored(0.9, True, HELD_OUT, "ko", "APEACH"),
    ]
    rows = {(row["set"], row["language"]): row for row in table(some, {"en": 0.5, "ko": 0.95})}
    assert rows["AdvBench", "en"]["n"] == 1
    assert rows["all, en", "en"]["false alarms"].startswith("100%")
    assert rows["APEACH", "ko"]["recall"].startswith("0%")


def test_a_share_has_its_wilson_interval():
    assert share([True] * 10) == "100% [72%, 100%]"
    assert share([]) == "-"


def test_korean_hate_speech_is_read_with_its_labels(tmp_path):
    file = tmp_path / FILES["APEACH"]
    file.parent.mkdir()
    file.write_text("text,class\n좋은 날,Default\n나쁜 말,Spoiled\n", encoding="utf-8")
    assert list(texts(tmp_path, "APEACH")) == [("좋은 날", False), ("나쁜 말", True)]


def test_a_folder_without_the_data_is_named(tmp_path):
    result = CliRunner().invoke(main, [str(tmp_path)])
    assert result.exit_code == 2
    assert "harmful_behaviors.csv is not there" in " ".join(result.output.split())


def test_earlier_scores_are_judged_again_without_a_model(tmp_path):
    file = tmp_path / "scores.json"
    rows = [
        {"set": "APEACH", "language": "ko", "sha256": d, "harmful": h, "score": s}
        for d in (CALIBRATION, HELD_OUT)
        for h, s in ((True, 0.8), (False, 0.2))
    ]
    file.write_text(json.dumps({"scores": rows}), encoding="utf-8")
    out = tmp_path / "out.json"
    result = CliRunner().invoke(main, [str(tmp_path), "--scores", str(file), "--json", str(out)])
    assert result.exit_code == 0, result.output
    fitted = json.loads(out.read_text(encoding="utf-8"))
    assert fitted["best on the calibration half"][0]["f1"] == 100.0
