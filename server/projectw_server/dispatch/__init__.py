"""Dispatch: runners, their heartbeats and leases."""
