"""Data sets and experiments over HTTP: figures with intervals, comparisons, plots."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from groundling.evaluation.datasets import DatasetStore, NewExample
from groundling.evaluation.evaluators.registry import Context, make_evaluators
from groundling.evaluation.experiment import run_experiment
from groundling.evaluation.plan import plan
from groundling.evaluation.targets import RunnableTarget
from groundling.home import Home
from groundling.tracing import attach
from tests.server.live import Live


def right_from(first: int) -> Callable[[Mapping[str, Any]], dict[str, str]]:
    """Answer the sums from that number on rightly."""

    def target(inputs: Mapping[str, Any]) -> dict[str, str]:
        n = int(inputs["question"].split()[0])
        return {"answer": str(n + 1 if n >= first else 0)}

    return target


@pytest.fixture
def compared(home: Path, client: httpx.Client) -> httpx.Client:
    """A client of a server with two experiments, a and b, on ten sums."""
    with Home(home) as opened, DatasetStore(opened.settings.evaluation_path) as datasets:
        datasets.create("sums", "<b>Sums</b>")
        datasets.add(
            "sums",
            [NewExample({"question": f"{n} + 1?"}, {"answer": str(n + 1)}) for n in range(10)],
        )
        for name, first in (("a", 2), ("b", 5)):
            made = make_evaluators(["correct", "latency"], Context(opened))
            wanted = plan(datasets, "sums", RunnableTarget(right_from(first)), made, name=name)
            asyncio.run(run_experiment(opened, wanted))
        attach.flush()
    return client


def test_data_sets_and_their_examples_are_shown(compared: httpx.Client) -> None:
    [found] = compared.get("/api/datasets").json()["datasets"]
    assert (found["name"], found["examples"]) == ("sums", 10)
    assert compared.get("/api/datasets/sums").json() == found
    assert compared.get(f"/api/datasets/{found['id']}").json() == found
    part = compared.get("/api/datasets/sums/examples", params={"limit": 3}).json()
    assert len(part["examples"]) == 3
    assert part["more"] is True
    assert compared.get("/api/datasets/none").status_code == 404


def test_an_experiment_has_means_with_intervals(compared: httpx.Client) -> None:
    listed = compared.get("/api/experiments").json()["experiments"]
    assert [each["name"] for each in listed] == ["b", "a"]
    shown = compared.get("/api/experiments/a").json()
    assert (shown["runs"], shown["failed"], shown["dataset_name"]) == (10, 0, "sums")
    correct = next(each for each in shown["scores"] if each["key"] == "correct")
    assert correct["mean"] == pytest.approx(0.8)
    assert correct["low"] < 0.8 < correct["high"] <= 1
    results = compared.get("/api/experiments/a/results").json()["results"]
    assert len(results) == 10
    assert {each["scores"]["correct"] for each in results} == {0.0, 1.0}
    assert compared.get("/api/experiments/none").status_code == 404


def test_two_are_compared_the_worst_example_first(compared: httpx.Client) -> None:
    found = compared.get("/api/experiments/compare", params={"a": "a", "b": "b"}).json()
    correct = next(each for each in found["scores"] if each["key"] == "correct")
    assert correct["difference"] == pytest.approx(-0.3)
    assert correct["low"] < -0.3 < correct["high"]
    assert (correct["wins"], correct["ties"], correct["losses"]) == (0, 7, 3)
    assert [each["differences"]["correct"] for each in found["pairs"][:4]] == [-1, -1, -1, 0]
    assert found["pairs"][0]["b"]["answer"] == "0"
    assert compared.get("/api/experiments/compare", params={"a": "a"}).status_code == 422
    missing = compared.get("/api/experiments/compare", params={"a": "a", "b": "c"})
    assert missing.status_code == 404


@pytest.mark.parametrize(
    ("path", "params", "marks"),
    [
        ("a/plot.svg", {}, {"circle"}),
        ("compare/plot.svg", {}, {"circle", "line"}),
        ("compare/plot.svg", {"by": "histogram", "key": "correct"}, {"rect"}),
        ("compare/plot.svg", {"by": "scatter", "key": "latency"}, {"circle"}),
    ],
)
def test_plots_are_pictures_without_script(
    compared: httpx.Client, path: str, params: dict[str, str], marks: set[str]
) -> None:
    two = {"a": "a", "b": "b"} if path.startswith("compare") else {}
    answer = compared.get(f"/api/experiments/{path}", params={**two, **params})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/svg+xml"
    drawn = {each.tag.rpartition("}")[2] for each in ElementTree.fromstring(answer.text).iter()}
    assert marks <= drawn
    assert drawn <= {"svg", "style", "g", "text", "line", "circle", "rect", "title"}
    assert compared.get(
        f"/api/experiments/{path}", params={**two, **params, "key": "<script>"}
    ).status_code in (404, 422)


def test_others_data_sets_and_experiments_are_not_there(
    live: Live, compared: httpx.Client, people: dict[str, httpx.Client]
) -> None:
    id = live.services.datasets.get("sums").id
    ben = people["ben"]
    for path in (
        "/api/datasets/sums", f"/api/datasets/{id}", "/api/datasets/sums/examples",
        "/api/experiments/a", "/api/experiments/a/results", "/api/experiments/a/plot.svg",
        "/api/experiments/compare?a=a&b=b", "/api/experiments/compare/plot.svg?a=a&b=b",
    ):  # fmt: skip
        assert ben.get(path).status_code == 404, path
    assert ben.get("/api/datasets").json() == {"datasets": []}
    assert ben.get("/api/experiments").json() == {"experiments": []}
    live.app.people.owners.claim("dataset", str(id), "ben")
    assert ben.get("/api/experiments/a").status_code == 200
    assert people["ann"].get("/api/experiments/a").status_code == 404
