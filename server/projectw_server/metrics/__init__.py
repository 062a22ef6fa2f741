"""Metrics: what operators see of one server process, counted as it happens or asked for when it is scraped."""

from projectw_server.metrics.metrics import Metrics

__all__ = ["Metrics"]
