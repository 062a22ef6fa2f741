"""Accounts: people with their passwords and sessions, and the tokens of runners."""
