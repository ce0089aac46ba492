"""What every contestant does: one withdrawal from one account, in full.

The words of the script's call stand here once, and `check_command` compares them with what
redislock itself sends, so that no contestant gains by leaving out a check. Knows no client but the
one that prepares the accounts and reads the books.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any, Final

SCRIPT: Final = Path(__file__).parents[1] / "src" / "accounts" / "withdraw.lua"
PREFIX: Final = "redislock"
AMOUNT: Final = 3
BALANCE: Final = 4_000_000_000_000
HISTORY: Final = 1000
TTL_MS: Final = 86_400_000


class BooksError(RuntimeError):
    """A contestant's answers and the balances disagree, or it did other work than the rest."""


@dataclasses.dataclass(frozen=True)
class Keys:
    """The keys of one account."""

    balance: str
    history: str
    lock: str


def user_name(index: int) -> str:
    """The account that the user of this number withdraws from."""
    return f"bench{index}"


def keys_of(user: str) -> Keys:
    """The account's keys, as redislock names them."""
    return Keys(*(f"{PREFIX}:{{{user}}}:{part}" for part in ("balance", "history", "lock")))


def sha1() -> str:
    """The digest under which a server knows the withdraw script."""
    return hashlib.sha1(SCRIPT.read_bytes()).hexdigest()


def withdraw_command(user: str) -> list[str]:
    """The words of one withdrawal by the script, as `call_withdraw` of the core composes them."""
    keys = keys_of(user)
    arguments = [str(AMOUNT), str(HISTORY), "lua", "", str(TTL_MS), ""]
    return ["EVALSHA", sha1(), "2", keys.balance, keys.history, *arguments]


def open_accounts(server: Any, count: int) -> None:
    """Give the first accounts their balance and a full history, so that work never changes."""
    server.flushall()
    server.script_load(SCRIPT.read_text(encoding="utf-8"))
    for index in range(count):
        keys = keys_of(user_name(index))
        pipe = server.pipeline(transaction=False)
        pipe.set(keys.balance, BALANCE)
        pipe.rpush(keys.history, *[f"{AMOUNT} {BALANCE} 1700000000000 lua"] * HISTORY)
        pipe.execute()


def taken(server: Any, count: int) -> int:
    """How much has left the first accounts since they were opened."""
    balances = [int(server.get(keys_of(user_name(index)).balance)) for index in range(count)]
    lengths = {server.llen(keys_of(user_name(index)).history) for index in range(count)}
    if lengths != {HISTORY}:
        raise BooksError(f"histories should hold {HISTORY} entries, and hold {sorted(lengths)}")
    return count * BALANCE - sum(balances)


def check_command(server: Any, url: str) -> None:
    """Let redislock withdraw once, and compare what the server got with `withdraw_command`."""
    import redislock

    user = user_name(0)
    open_accounts(server, 1)
    with redislock.Client(url, prefix=PREFIX) as client:
        client.balance(user)
        server.config_set("slowlog-log-slower-than", 0)
        try:
            result = client.withdraw_lua(user, AMOUNT)
        finally:
            server.config_set("slowlog-log-slower-than", -1)
    said = [entry["command"].decode() for entry in server.slowlog_get(16)]
    server.slowlog_reset()
    if any(words.startswith("EVAL ") for words in said):
        raise BooksError(
            f"the installed redislock was built from another {SCRIPT.name} than that in src/; "
            "install it again: pip install ."
        )
    if not result or " ".join(withdraw_command(user)) not in said:
        raise BooksError(f"redislock sends other words than the contestants: {said}")
