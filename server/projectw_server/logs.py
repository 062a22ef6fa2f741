"""Logs on stderr, for people or for machines; what comes from outside cannot act in a terminal or forge a line."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog
from structlog.typing import Processor

from projectw_shared.text import safe

LIBRARIES = ("uvicorn.error", "quart.app", "tortoise", "aiosqlite", "asyncio")
"""Loggers of libraries that speak of their own inner life below the level of a warning."""


def set_up(level: Literal["debug", "info", "warning", "error"], format: Literal["text", "json"]) -> None:
    """Send what the program and its libraries log to stderr, from ``level`` on."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                # Plain tracebacks: the colourful ones print local variables, and those hold passwords.
                structlog.processors.format_exc_info,
                harmless,
                _renderer(format),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in LIBRARIES:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(True)


def harmless(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace in every text what a terminal would act on; a traceback keeps its lines."""
    return {
        key: safe(value, keep_newlines=key == "exception") if isinstance(value, str) else value
        for key, value in event.items()
    }


def _renderer(format: Literal["text", "json"]) -> Processor:
    if format == "json":
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
