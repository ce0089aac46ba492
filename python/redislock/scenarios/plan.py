"""The plan of a bank: who starts with what, and which deposits and withdrawals are made at once.

A plan has one right end, whatever the order: no withdrawal can meet too little. It knows nothing of
servers or strategies. A plan file is TOML::

    [[user]]
    name = "alice"
    start = 1000
    deposits = [{ count = 100, amount = 10 }]
    withdrawals = [{ count = 100, amount = 5 }]
"""

from __future__ import annotations

import dataclasses
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["BUILT_IN", "Batch", "Operation", "Plan", "PlannedUser", "read_plan"]

LARGEST: Final = 2**63 - 1
MOST_OPERATIONS: Final = 1_000_000
_SEED: Final = 3  # the same order every time; who comes first is decided by the race anyway


class Operation(NamedTuple):
    """One call of the plan."""

    user: str
    is_deposit: bool
    amount: int


@dataclasses.dataclass(frozen=True)
class Batch:
    """Several equal operations: ``100 of 10``."""

    count: int
    amount: int

    def __str__(self) -> str:
        return f"{self.count} of {self.amount}"


@dataclasses.dataclass(frozen=True)
class PlannedUser:
    """An account, and what is done with it. Raises ValueError for what has no one right end."""

    name: str
    start: int
    deposits: tuple[Batch, ...] = ()
    withdrawals: tuple[Batch, ...] = ()

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a user has an empty name")
        given, taken = _sum(self.deposits), _sum(self.withdrawals)
        if taken > self.start:
            raise ValueError(
                f"user {self.name}: withdrawals of {taken} may find too little in {self.start}, "
                "so that the end would depend on the order; start with more"
            )
        if self.start + given > LARGEST:
            raise ValueError(f"user {self.name}: {self.start} and {given} more are above {LARGEST}")

    @property
    def end(self) -> int:
        """What the account holds when all is done."""
        return self.start + _sum(self.deposits) - _sum(self.withdrawals)

    def operations(self) -> Iterator[Operation]:
        """Yield every single call."""
        for is_deposit, batches in ((True, self.deposits), (False, self.withdrawals)):
            for each in batches:
                yield from [Operation(self.name, is_deposit, each.amount)] * each.count


@dataclasses.dataclass(frozen=True)
class Plan:
    """All accounts of a run. Raises ValueError where nothing can come of it."""

    users: tuple[PlannedUser, ...]

    def __post_init__(self) -> None:
        names = [each.name for each in self.users]
        if twice := sorted({each for each in names if names.count(each) > 1}):
            raise ValueError(f"user {twice[0]} is there twice")
        if not 1 <= self.count <= MOST_OPERATIONS:
            raise ValueError(f"a plan has from 1 to {MOST_OPERATIONS} operations, not {self.count}")

    @property
    def count(self) -> int:
        """How many operations it has."""
        return sum(each.count for user in self.users for each in (*user.deposits, *user.withdrawals))

    def operations(self) -> list[Operation]:
        """Return all calls of all users, mixed, in the same order every time."""
        out = [each for user in self.users for each in user.operations()]
        random.Random(_SEED).shuffle(out)  # noqa: S311 - no secret
        return out

    def __str__(self) -> str:
        users = len(self.users)
        return f"{self.count} operation{'s' * (self.count != 1)} of {users} user{'s' * (users != 1)}"


def _sum(batches: Sequence[Batch]) -> int:
    return sum(each.count * each.amount for each in batches)


BUILT_IN: Final = Plan(
    (
        PlannedUser("1", 1000, (Batch(100, 10),), (Batch(100, 5),)),
        PlannedUser("2", 1000, (Batch(50, 20),), (Batch(50, 15),)),
        PlannedUser("3", 1000, (Batch(200, 1),), (Batch(100, 2),)),
    )
)


def read_plan(path: str | os.PathLike[str]) -> Plan:
    """Return the plan of a TOML file.

    Raises ValueError with one sentence for what is wrong with it, OSError where it cannot be read.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        found = tomllib.loads(Path(path).read_bytes().decode())
    except UnicodeDecodeError:
        raise ValueError("it is no text in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"it is no TOML: {error}") from None
    return _to_plan(found)


def _to_plan(found: Mapping[str, Any]) -> Plan:
    _refuse_others(found, ("user",), "a plan")
    users = found.get("user")
    if not isinstance(users, list) or not users or not all(isinstance(each, dict) for each in users):
        raise ValueError("a plan is a list of [[user]] tables")
    return Plan(tuple(_to_user(each) for each in users))


def _to_user(found: Mapping[str, Any]) -> PlannedUser:
    name = found.get("name")
    if not isinstance(name, (str, int)) or isinstance(name, bool):
        raise ValueError("each [[user]] needs a name")  # noqa: TRY004 - a fault of the file, not of a caller
    whose = f"user {name}"
    _refuse_others(found, ("name", "start", "deposits", "withdrawals"), whose)
    return PlannedUser(
        str(name),
        _whole(found, "start", 0, whose),
        _to_batches(found, "deposits", whose),
        _to_batches(found, "withdrawals", whose),
    )


def _to_batches(found: Mapping[str, Any], key: str, whose: str) -> tuple[Batch, ...]:
    batches = found.get(key, [])
    if not isinstance(batches, list) or not all(isinstance(each, dict) for each in batches):
        raise ValueError(f"{whose}: {key} must be a list like [{{ count = 100, amount = 10 }}]")
    out = []
    for each in batches:
        _refuse_others(each, ("count", "amount"), f"{whose}, {key}")
        count = _whole(each, "count", 0, f"{whose}, {key}", MOST_OPERATIONS)
        out.append(Batch(count, _whole(each, "amount", 1, f"{whose}, {key}")))
    return tuple(out)


def _whole(found: Mapping[str, Any], key: str, least: int, whose: str, most: int = LARGEST) -> int:
    value = found.get(key)
    if value is None:
        raise ValueError(f"{whose}: {key} is missing")
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{whose}: {key} must be a whole number from {least} to {most}, not {value!r}")
    return value


def _refuse_others(found: Mapping[str, Any], known: Sequence[str], whose: str) -> None:
    if strange := sorted(set(found) - set(known)):
        raise ValueError(f"{whose}: {strange[0]} is none of {', '.join(known)}")
