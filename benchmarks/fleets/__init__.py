"""Many simulated runners and people against real server processes: the parts of ``benchmarks.fleet``."""
