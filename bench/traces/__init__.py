"""The parts of `bench.tracing`."""
