"""Measurements of Project W: ``python -m benchmarks`` lists them, ``python -m benchmarks NAME`` runs one."""
