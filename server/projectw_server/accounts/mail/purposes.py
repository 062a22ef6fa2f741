"""How long mails and the codes in them are worth something."""

from projectw_server.accounts.outbox import Purpose

HOUR = 3600.0
DAY = 24 * HOUR

CODE_SECONDS = {Purpose.CONFIRM: DAY, Purpose.NEW_ADDRESS: DAY, Purpose.RESET: HOUR}
"""How long the codes are good that a mail for this purpose brings."""


def is_worth_seconds(purpose: Purpose) -> float:
    """Return how long after it was asked for a mail is still sent."""
    return CODE_SECONDS.get(purpose, DAY)
