"""For the tests of code that withdraws: whether it is right where two do so at once.

Each name is imported when it is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from redislock.testing._race import AsyncStep, Outcome, RaceReport, RaceStep, Step, race

__all__ = ["AsyncStep", "Outcome", "RaceReport", "RaceStep", "Step", "race"]

_HOMES: Final = {
    "AsyncStep": "redislock.testing._race",
    "Outcome": "redislock.testing._race",
    "RaceReport": "redislock.testing._race",
    "RaceStep": "redislock.testing._race",
    "Step": "redislock.testing._race",
    "race": "redislock.testing._race",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
