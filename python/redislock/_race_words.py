"""What a round trip of a strategy means, in words: who did what, and at which moment it was saved.

Looks at what was sent and what came back, and at nothing else.
"""

from __future__ import annotations

import dataclasses
from typing import Any

__all__ = ["Ledger", "Words"]


@dataclasses.dataclass(frozen=True)
class Words:
    """One round trip."""

    does: str
    asks: str
    answer: str
    saved: str = ""
    lost: str = ""


class Ledger:
    """What a reader has to remember to understand the next round trip."""

    def __init__(self, strategy: str, keys: dict[str, str], amount: int) -> None:
        self._strategy = strategy
        self._names = {keys["balance"]: "balance", keys["history"]: "history", keys["lock"]: "lock"}
        self._amount = amount
        self._read: dict[str, int] = {}  # what each buyer saw last
        self._wrote = ""  # who changed the balance last
        self._holder = ""  # of the lock

    def tell(self, buyer: str, exchange: dict[str, Any], before: int | None, after: int | None) -> Words:
        """Put one round trip into words; `before` and `after` are what the server held."""
        commands: list[list[str]] = exchange["commands"]
        replies: list[Any] = exchange["replies"]
        names = [command[0] for command in commands]
        if exchange["script"]:
            words = self._script(buyer, str(replies[0]), before)
        elif "EXEC" in names:
            words = self._exec(buyer, replies[-1], before, after)
        elif names[0] == "SET" and "NX" in commands[0]:
            words = self._lock(buyer, commands[0][2], replies)
        elif names[0] == "SET":
            words = self._write(buyer, commands[0][2], before)
        else:
            words = self._look(buyer, replies[names.index("GET")], watching="WATCH" in names)
        if before != after:
            self._wrote = buyer
        return words

    def pays(self, exchange: dict[str, Any]) -> bool:
        """Tell whether a round trip that is about to be made may change the balance."""
        commands: list[list[str]] = exchange["commands"]
        return bool(exchange["script"]) or any(
            name in {"SET", "DECRBY"} and self._names.get(key) == "balance"
            for name, key in (command[:2] for command in commands if len(command) > 1)
        )

    def plain(self, command: list[str], script: str) -> str:
        """Return a command as a person would type it, without what differs from run to run."""
        name, *rest = command
        if name in {"EVALSHA", "EVAL"}:
            keys = [self._names.get(each, each) for each in rest[2 : 2 + int(rest[1])]]
            return " ".join([name, script, *keys])
        if name == "LPUSH":
            return "LPUSH history entry"
        words = [self._names.get(each, each) for each in rest]
        if name == "SET" and words[0] == "lock":
            words[1] = "token"
        return " ".join([name, *words])

    def plain_reply(self, command: list[str], reply: Any) -> str:
        """Return a reply the same way."""
        if isinstance(reply, dict):
            return f"error: {reply['error']}"
        if command[0] == "TIME":
            return "the time"
        if command[0] == "GET" and self._names.get(command[1]) == "lock":
            return "nil" if reply is None else "token"
        if isinstance(reply, list):
            return f"[{', '.join('nil' if each is None else str(each) for each in reply)}]"
        return "nil" if reply is None else str(reply)

    def _look(self, buyer: str, balance: str | None, *, watching: bool) -> Words:
        self._remember(buyer, balance)
        seen = "nothing" if balance is None else balance
        asks = "WATCH, GET balance" if watching else "GET balance"
        return Words(f"{'watches, ' * watching}reads {seen}", asks, seen)

    def _write(self, buyer: str, value: str, before: int | None) -> Words:
        read = self._read.get(buyer)
        lost = ""
        if read != before:
            lost = (
                f"the server held {before} by now, and not the {read} that {buyer} read: "
                f"what {self._wrote or 'somebody'} took is forgotten"
            )
        return Words(f"writes {value}", f"SET balance {value}", "OK", lost=lost)

    def _script(self, buyer: str, reply: str, before: int | None) -> Words:
        status, _, left = reply.lstrip("=").partition(" ")
        locked = self._strategy == "lock"
        if locked:
            self._holder = ""
        saved = ""
        if not locked and self._wrote and self._wrote != buyer:
            saved = (
                f"looking and taking are one step on the server: {buyer} meets the {before} "
                f"that {self._wrote} left, and nobody comes in between"
            )
        does = f"script: {before} - {self._amount} = {left}" if status == "ok" else f"script: {status}"
        if locked:
            does += ", lock released"
        return Words(does, "EVALSHA withdraw", reply, saved=saved)

    def _lock(self, buyer: str, token: str, replies: list[Any]) -> Words:
        asks = "SET lock NX, GET balance"
        if replies[1] == token:
            self._holder = buyer
            self._remember(buyer, replies[2])
            seen = "nothing" if replies[2] is None else replies[2]
            return Words(f"takes the lock, reads {seen}", asks, f"OK, {seen}")
        holder = self._holder or "somebody else"
        return Words(
            "lock busy, waits",
            asks,
            "nil",
            saved=f"lock busy: {holder} holds it, so {buyer} does not act on a balance "
            "that is about to change; it pauses and asks again",
        )

    def _exec(self, buyer: str, reply: Any, before: int | None, after: int | None) -> Words:
        asks = f"MULTI, DECRBY {self._amount}, EXEC"
        if reply is not None:
            return Words(f"EXEC: {before} - {self._amount} = {after}", asks, str(after))
        return Words(
            "EXEC answers null",
            asks,
            "nil",
            saved=f"null EXEC: {self._wrote or 'somebody'} wrote since {buyer}'s WATCH, so nothing "
            f"of {buyer} was applied; it pauses and looks again",
        )

    def _remember(self, buyer: str, balance: str | None) -> None:
        if balance is not None and balance.isdecimal():
            self._read[buyer] = int(balance)
