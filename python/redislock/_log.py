"""The logger ``redislock``: reconnects, retries and fallbacks, quiet unless configured."""

from __future__ import annotations

import logging

__all__ = ["emit", "logger"]

logger = logging.getLogger("redislock")
logger.addHandler(logging.NullHandler())

_LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING)


def emit(level: int, text: str) -> None:
    """Takes a record of the native core; `level` counts from 0, debug."""
    logger.log(_LEVELS[level], text)
