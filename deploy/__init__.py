"""The programs put together on one machine: for the demonstration, the journeys and the benchmarks."""
