"""`ask` with the model that costs nothing, for `langgraph dev`."""

from bench.serving.echo import Echo
from groundling.graphs import registry
from groundling.graphs.resources import Resources
from groundling.settings import load

graph = registry.build("ask", Resources(load(), model=Echo()))
