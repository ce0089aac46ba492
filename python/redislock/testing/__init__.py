"""For the tests of code that withdraws: whether it is right where two, or many, do so at once.

    >>> from redislock.testing import check_strategy
    >>> print(check_strategy(lambda user, amount: client.withdraw_lua(user, amount), bank=client))
    <lambda>: held; 8 users took 3 at a time for 1.0 s: 24310 ok, 3040 refused, 0 raised

With pytest the fixtures `redislock_server`, `redislock_client`, `check_strategy` and
`check_strategy_async` are there without an import. Each name is imported when it is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from redislock._server import PrivateServer
    from redislock.scenarios.bank_report import BankReport
    from redislock.scenarios.plan import Batch, Plan, PlannedUser, read_plan
    from redislock.testing._bank import BankFailedError, check_bank, check_bank_async
    from redislock.testing._check import check_strategy, check_strategy_async
    from redislock.testing._race import AsyncStep, Outcome, RaceReport, RaceStep, Step, race
    from redislock.testing._report import LostMoneyError, StrategyReport
    from redislock.testing._types import AsyncStrategyCheck, Bank, StrategyCheck

__all__ = [
    "AsyncStep",
    "AsyncStrategyCheck",
    "Bank",
    "BankFailedError",
    "BankReport",
    "Batch",
    "LostMoneyError",
    "Outcome",
    "Plan",
    "PlannedUser",
    "PrivateServer",
    "RaceReport",
    "RaceStep",
    "Step",
    "StrategyCheck",
    "StrategyReport",
    "check_bank",
    "check_bank_async",
    "check_strategy",
    "check_strategy_async",
    "race",
    "read_plan",
]

_HOMES: Final = {
    "AsyncStep": "redislock.testing._race",
    "AsyncStrategyCheck": "redislock.testing._types",
    "Bank": "redislock.testing._types",
    "BankFailedError": "redislock.testing._bank",
    "BankReport": "redislock.scenarios.bank_report",
    "Batch": "redislock.scenarios.plan",
    "LostMoneyError": "redislock.testing._report",
    "Outcome": "redislock.testing._race",
    "Plan": "redislock.scenarios.plan",
    "PlannedUser": "redislock.scenarios.plan",
    "PrivateServer": "redislock._server",
    "RaceReport": "redislock.testing._race",
    "RaceStep": "redislock.testing._race",
    "Step": "redislock.testing._race",
    "StrategyCheck": "redislock.testing._types",
    "StrategyReport": "redislock.testing._report",
    "check_bank": "redislock.testing._bank",
    "check_bank_async": "redislock.testing._bank",
    "check_strategy": "redislock.testing._check",
    "check_strategy_async": "redislock.testing._check",
    "race": "redislock.testing._race",
    "read_plan": "redislock.scenarios.plan",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
