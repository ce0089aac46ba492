"""What the ready-made users do, from the command line, the environment or the web UI's form.

Each argument is also an environment variable; the command line comes before it, and what is typed
into the web UI before both. A master hands its values to its workers.
"""

from __future__ import annotations

import dataclasses
import random
from typing import TYPE_CHECKING, Any, Final

from redislock import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from locust.argument_parser import LocustArgumentParser
    from locust.env import Environment

__all__ = ["Workload", "add_arguments", "client_options"]

LARGEST: Final = 2**63 - 1
DEFAULT_BALANCE: Final = 1_000_000_000
_MOST_RETRIES: Final = 1_000_000

# dest: (environment variable, default, help). The form shows what an option is by its name alone.
_ARGUMENTS: Final = {
    "user_id": ("USER_ID", "123", "Whose account the withdrawals take from"),
    "withdraw_amount": ("WITHDRAW_AMOUNT", "3", "How much to take each time"),
    "amount_jitter": ("AMOUNT_JITTER", "0", "Added or taken off at random, up to this; at least 1 is taken"),
    "init_balance": (
        "INIT_BALANCE",
        "",
        f"What the account starts each run with; empty: as it is, and {DEFAULT_BALANCE} if it is missing",
    ),
    "key_prefix": ("KEY_PREFIX", "", "What all keys begin with; empty: redislock"),
    "max_retries": ("MAX_RETRIES", "", "Repetitions of a withdrawal by WATCH; empty: 10"),
}
_NUMBERS: Final = {
    "withdraw_amount": (1, LARGEST),
    "amount_jitter": (0, LARGEST),
    "init_balance": (0, LARGEST),
    "max_retries": (0, _MOST_RETRIES),
}


def add_arguments(parser: LocustArgumentParser, **_: object) -> None:
    """Declare the arguments; a listener for Locust's ``init_command_line_parser``."""
    for dest, (variable, default, told) in _ARGUMENTS.items():
        # Text, whatever it means: so a form may leave it empty, and a wrong one is told by us.
        parser.add_argument(
            "--" + dest.replace("_", "-"), env_var=variable, type=str, default=default, help=told
        )


@dataclasses.dataclass(frozen=True)
class Workload:
    """Whose account the users withdraw from, and how much."""

    user: str = "123"
    amount: int = 3
    jitter: int = 0
    balance: int | None = None
    """What the account starts a run with; None leaves it as it is."""

    @classmethod
    def of(cls, environment: Environment, form: Mapping[str, str] | None = None) -> Workload:
        """Return what the arguments say; `form` comes before them.

        Raises ConfigurationError, with one sentence that names the argument.
        """
        said = {dest: _text(environment, dest, form) for dest in _ARGUMENTS}
        _number("max_retries", said["max_retries"])
        if "{" in said["key_prefix"] or "}" in said["key_prefix"]:
            raise ConfigurationError("--key-prefix (KEY_PREFIX) must not contain braces")
        amount = _number("withdraw_amount", said["withdraw_amount"])
        jitter = _number("amount_jitter", said["amount_jitter"])
        return cls(
            user=said["user_id"] or cls.user,
            amount=cls.amount if amount is None else amount,
            jitter=cls.jitter if jitter is None else jitter,
            balance=_number("init_balance", said["init_balance"]),
        )

    def draw(self) -> int:
        """Return how much to take this time."""
        if not self.jitter:
            return self.amount
        drawn = self.amount + random.randint(-self.jitter, self.jitter)  # noqa: S311  # not a secret
        return min(max(1, drawn), LARGEST)

    def accounts(self) -> dict[str, int | None]:
        """Return the account and its balance, as `RedisLockUser.accounts` wants them."""
        return {self.user: self.balance}


def client_options(environment: Environment | None) -> dict[str, Any]:
    """Return the arguments of a client that were given, if they were declared at all."""
    if environment is None:
        return {}
    out: dict[str, Any] = {}
    if prefix := _text(environment, "key_prefix"):
        out["prefix"] = prefix
    if (retries := _number("max_retries", _text(environment, "max_retries"))) is not None:
        out["max_retries"] = retries
    return out


def _text(environment: Environment, dest: str, form: Mapping[str, str] | None = None) -> str:
    if form is not None and dest in form:
        return form[dest].strip()
    return str(getattr(environment.parsed_options, dest, None) or "").strip()


def _number(dest: str, text: str) -> int | None:
    if not text:
        return None
    least, most = _NUMBERS[dest]
    if text.isascii() and text.isdigit() and least <= int(text[:20]) <= most:
        return int(text)
    name = "--" + dest.replace("_", "-")
    raise ConfigurationError(
        f"{name} ({_ARGUMENTS[dest][0]}) must be a whole number from {least} to {most}, not {text!r}"
    )
