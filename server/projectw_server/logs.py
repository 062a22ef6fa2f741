"""Logs on stderr, for people or for machines; what comes from outside cannot act in a terminal or forge a line."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog
from structlog.typing import ExcInfo, Processor

from projectw_shared.text import harmless_event
from projectw_shared.tracebacks import told, without_values

LIBRARIES = ("uvicorn.error", "quart.app", "tortoise", "aiosqlite", "asyncio")
"""Loggers of libraries that bring handlers or levels of their own."""

OURS = ("projectw", "projectw_server")
"""Our own loggers. Of everyone else only warnings are heard: below, libraries tell statements with their values."""


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
    handler.addFilter(without_values)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.ExceptionRenderer(_traceback),
                harmless,
                _renderer(format),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    threshold: int = getattr(logging, level.upper())
    root.setLevel(max(logging.WARNING, threshold))
    for name in OURS:
        logging.getLogger(name).setLevel(threshold)
    for name in LIBRARIES:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(root.level)
    logging.captureWarnings(True)


def harmless(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace in every name and text what a terminal would act on; a traceback keeps its lines."""
    return harmless_event(event)


def _traceback(exc_info: ExcInfo) -> str:
    return told(exc_info[1])


def _renderer(format: Literal["text", "json"]) -> Processor:
    if format == "json":
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
