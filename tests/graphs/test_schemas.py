"""Each graph says in JSON Schema what it takes and gives: pages make forms of that."""

import pytest

from groundling.graphs import registry
from groundling.graphs.resources import Resources
from groundling.settings import Settings

NAMES = [info.name for info in registry.available() if info.name != "chain"]


@pytest.mark.parametrize("name", NAMES)
def test_what_a_graph_takes_and_gives_is_described(name: str) -> None:
    graph = registry.build(name, Resources(Settings()))
    for schema in (graph.get_input_jsonschema(), graph.get_output_jsonschema()):
        assert schema["type"] == "object"
        assert schema["properties"]
