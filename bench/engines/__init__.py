"""What `bench.engine` runs: contenders, workloads, and the tables that come out."""
