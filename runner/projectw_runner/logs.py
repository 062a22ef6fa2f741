"""What the runner writes of its work: one line an event, to stderr."""

import logging
import sys
from typing import Any

import structlog

from projectw_shared import routes
from projectw_shared.http import Exchange
from projectw_shared.text import harmless_event
from projectw_shared.tracebacks import told, without_values

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(level: str, form: str) -> None:
    """Set structlog up for this process: ``form`` is ``text`` (key=value) or ``json``.

    Tracebacks carry neither local variables nor the words of exceptions: those would hold tokens and transcripts. The
    warnings of libraries become lines too.
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
    root = logging.getLogger()
    root.handlers[:] = [_FromLibraries()]
    root.setLevel(max(logging.WARNING, LEVELS[level]))
    logging.captureWarnings(True)


def log_exchange(exchange: Exchange) -> None:
    """Write the line of a request, with the id under which the server logs it too.

    Heartbeats are a matter for debugging: they come every few seconds, and what goes wrong with them is told.
    """
    log = structlog.get_logger()
    level = log.debug if exchange.path == routes.RUNNER_HEARTBEAT else log.info
    level("request", **exchange.fields())


def _rendering(form: str) -> list[structlog.typing.Processor]:
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    return [structlog.processors.ExceptionRenderer(lambda error: told(error[1])), _harmless, renderer]


def _harmless(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Make names and texts from elsewhere safe for a terminal; a traceback keeps its lines."""
    return harmless_event(event)


class _FromLibraries(logging.Handler):
    """Hands the warnings of libraries on, which the standard library would write raw."""

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(without_values)

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        log.log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info)
