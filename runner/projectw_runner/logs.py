"""What the runner writes of its work: one line an event, to stderr."""

import logging
import sys
import traceback
from typing import Any, TextIO

import structlog

from projectw_shared import routes
from projectw_shared.http import Exchange
from projectw_shared.text import safe

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(level: str, form: str) -> None:
    """Set structlog up for this process: ``form`` is ``text`` (key=value) or ``json``.

    Tracebacks carry no local variables: those would hold tokens and transcripts.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_rendering(form),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def log_exchange(exchange: Exchange) -> None:
    """Write the line of a request, with the id under which the server logs it too.

    Heartbeats are a matter for debugging: they come every few seconds, and what goes wrong with them is told.
    """
    log = structlog.get_logger()
    level = log.debug if exchange.path == routes.RUNNER_HEARTBEAT else log.info
    level("request", **exchange.fields())


def _rendering(form: str) -> list[structlog.typing.Processor]:
    if form == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return [
        _harmless,
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_traceback),
    ]


def _harmless(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Make texts from elsewhere safe for a terminal. JSON escapes them by itself."""
    return {key: safe(value) if isinstance(value, str) else value for key, value in event.items()}


def _traceback(out: TextIO, error: structlog.typing.ExcInfo) -> None:
    out.write("\n" + safe("".join(traceback.format_exception(*error)), keep_newlines=True).rstrip())
