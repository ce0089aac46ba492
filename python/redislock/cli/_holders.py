"""What a listing of locks says: who holds, who waits, and who waits for whom.

Turns what the native core lists into names for people and into a graph of waits. Does no I/O and
prints nothing.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

KINDS: Final = {"m": "mutex", "p": "permit", "r": "reader", "w": "writer", "u": "row", "U": "rows"}

_OURS: Final = re.compile(rb"([^:/ ]+):(\d+):([^:/ ]+):([^:/ ]*)/[0-9a-f]{32}(?:/(.+))?", re.DOTALL)
_SCOPES: Final = {"t": "thread", "a": "task", "g": "greenlet"}
_LIKE_REDIS_PY: Final = re.compile(rb"[0-9a-f]{32}")
_LONGEST_TOKEN: Final = 16
_CLOCKS_DIFFER: Final = 0.01
"""Seconds by which a fence may lie before the time of a listing, which is rounded down."""


def readable(name: bytes) -> str:
    r"""Return a name in any bytes as one line of text: what is no text or no letter as \x1b is.

    A name must not be able to move a terminal's cursor.
    """
    text = name.decode("utf-8", "backslashreplace")
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def shortened(text: str, most: int) -> str:
    """Return a text with its middle left out where it is too long."""
    if len(text) <= most:
        return text
    head = (most - 1) // 2
    return f"{text[:head]}…{text[len(text) - (most - 1 - head) :]}"


@dataclasses.dataclass(frozen=True)
class Owner:
    """Whom a token names."""

    token: bytes
    host: str | None = None
    """None: not a token of redislock's. All that is known is the token."""
    pid: int | None = None
    scope: str | None = None
    """thread, task or greenlet; None where the lock is everybody's in that process."""
    number: int | None = None
    client_name: str | None = None
    identity: bytes | None = None
    """What all tokens of one owner begin with; None where there is no single one."""

    @property
    def ours(self) -> bool:
        """Whether redislock made the token."""
        return self.host is not None

    @property
    def words(self) -> str:
        """The owner for people."""
        if not self.ours:
            text = readable(self.token)
            return text if len(text) <= _LONGEST_TOKEN else f"{text[:_LONGEST_TOKEN]}…"
        scope = f" {self.scope}" if self.scope else ""
        number = f" {self.number}" if self.number is not None else ""
        named = f" ({self.client_name})" if self.client_name else ""
        return f"{self.host} pid {self.pid}{scope}{number}{named}"

    def as_dict(self) -> dict[str, Any] | None:
        """For JSON; None where the token tells nothing."""
        if not self.ours:
            return None
        return {
            "host": self.host,
            "pid": self.pid,
            "scope": self.scope,
            "number": self.number,
            "client_name": self.client_name,
        }


def parse_owner(token: bytes) -> Owner:
    """Read the owner out of a token: "host:pid:nonce:who/random[/client_name]"."""
    found = _OURS.fullmatch(token)
    if found is None:
        return Owner(token)
    host, pid, _, who, client_name = found.groups()
    numbered = re.fullmatch(rb"([tag])(\d+)", who)
    return Owner(
        token,
        readable(host),
        int(pid),
        _SCOPES[numbered[1].decode()] if numbered else readable(who) or None,
        int(numbered[2]) if numbered else None,
        readable(client_name) if client_name else None,
        token.partition(b"/")[0] if who else None,
    )


@dataclasses.dataclass(frozen=True)
class Holder:
    """One who holds a lock."""

    owner: Owner
    kind: str
    fence: int | None
    """None where it is not known: whoever took it gives no fences."""
    age: float | None
    """Seconds since it was taken, read off the fence, which is the server's time then."""
    left: float | None
    """Seconds of the lease; None where there is no lease."""

    @property
    def like_a_lock(self) -> bool:
        """Whether this can be told from a value that has nothing to do with locks."""
        return self.owner.ours or bool(self.fence) or bool(_LIKE_REDIS_PY.fullmatch(self.owner.token))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "token": readable(self.owner.token),
            "owner": self.owner.as_dict(),
            "kind": KINDS[self.kind],
            "fence": self.fence,
            "age": _rounded(self.age),
            "left": _rounded(self.left),
        }


@dataclasses.dataclass(frozen=True)
class Waiter:
    """One who stands in line."""

    owner: Owner
    kind: str
    waited: float
    """Seconds."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "token": readable(self.owner.token),
            "owner": self.owner.as_dict(),
            "kind": KINDS[self.kind],
            "waited": _rounded(self.waited),
        }


@dataclasses.dataclass(frozen=True)
class SeenLock:
    """One lock as it was at one moment."""

    key: bytes
    now: float
    """The server's clock, in seconds since 1970."""
    holders: tuple[Holder, ...]
    waiters: tuple[Waiter, ...]
    """The first in line."""
    waiting: int
    """All of them."""

    @property
    def name(self) -> str:
        """Its name for people."""
        return readable(self.key)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; a name that is no plain text is given in hexadecimal too."""
        exact = {} if self.name.encode() == self.key else {"name_hex": self.key.hex()}
        return {
            "name": self.name,
            **exact,
            "holders": [each.as_dict() for each in self.holders],
            "waiting": self.waiting,
            "waiters": [each.as_dict() for each in self.waiters],
        }


def read_lock(listed: Mapping[str, Any]) -> SeenLock:
    """Read one lock of the core's list."""
    now = listed["now"]
    waiters = (
        Waiter(parse_owner(each["token"]), each["kind"], max(now - each["since"], 0.0))
        for each in listed["waiters"]
    )
    return SeenLock(
        listed["name"],
        now,
        tuple(_read_holder(each, now) for each in listed["holders"]),
        tuple(waiters),
        listed["waiting"],
    )


def _read_holder(listed: Mapping[str, Any], now: float) -> Holder:
    owner = parse_owner(listed["token"])
    # A mutex keeps no fence beside its token: the last one given is its holder's only if that is ours.
    known = listed["fence"] > 0 and (owner.ours or listed["kind"] != "m")
    fence = listed["fence"] if known else None
    age = None
    if fence is not None and (since := now - fence / 1e6) > -_CLOCKS_DIFFER:
        age = max(since, 0.0)
    return Holder(owner, listed["kind"], fence, age, listed["left"])


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


# ---- who waits for whom


@dataclasses.dataclass(frozen=True)
class Edge:
    """One owner that holds something and waits for what others hold."""

    owner: Owner
    lock: SeenLock
    kind: str
    waited: float
    held_by: tuple[Owner, ...]
    deadlock: bool = False
    """Whether it is part of a cycle: without help it never ends."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "owner": readable(self.owner.identity or b""),
            "waits_for": self.lock.name,
            "kind": KINDS[self.kind],
            "waited": _rounded(self.waited),
            "held_by": [readable(each.identity or each.token) for each in self.held_by],
            "deadlock": self.deadlock,
        }


@dataclasses.dataclass(frozen=True)
class Listing:
    """What is held and awaited on a server."""

    locks: Sequence[SeenLock]
    edges: Sequence[Edge]
    where: str


def find_edges(locks: Sequence[SeenLock]) -> list[Edge]:
    """Return the waits of owners who hold something themselves, those of cycles first.

    Only these can be part of a deadlock. Owners without a single identity have none.
    """
    holding = {holder.owner.identity for lock in locks for holder in lock.holders} - {None}
    edges = [
        Edge(waiter.owner, lock, waiter.kind, waiter.waited, tuple(each.owner for each in lock.holders))
        for lock in locks
        for waiter in lock.waiters
        if waiter.owner.identity in holding
    ]
    stuck = _stuck(edges)
    cyclic = _on_cycles(edges, stuck)
    marked = [dataclasses.replace(each, deadlock=each.owner.identity in cyclic) for each in edges]
    return sorted(marked, key=lambda each: (not each.deadlock, -each.waited))


def _stuck(edges: Sequence[Edge]) -> set[bytes]:
    """Return the owners that can never go on: taken away is, again and again, who still can."""
    waits = [(who, each) for each in edges if (who := each.owner.identity) is not None]
    stuck = {who for who, _ in waits}
    while True:
        kept = {who for who, each in waits if who in stuck and _waits(each, stuck)}
        if kept == stuck:
            return stuck
        stuck = kept


def _waits(edge: Edge, stuck: set[bytes]) -> bool:
    """Tell whether a wait cannot end while those do not go on.

    Any holder stops a mutex, a reader or a writer; a permit is free as soon as one holder goes on.
    """
    others = [each.identity for each in edge.held_by if each.identity != edge.owner.identity]
    blocking = [each in stuck for each in others]
    return all(blocking) and bool(blocking) if edge.kind == "p" else any(blocking)


def _on_cycles(edges: Sequence[Edge], stuck: set[bytes]) -> set[bytes]:
    """Return the owners that wait, over others, for themselves."""
    after: dict[bytes, set[bytes]] = {each: set() for each in stuck}
    for each in edges:
        if each.owner.identity in after:
            after[each.owner.identity] |= {one for one in _identities(each.held_by) if one in stuck}
            after[each.owner.identity].discard(each.owner.identity)
    return {each for each in stuck if each in _reached(after, each)}


def _reached(after: Mapping[bytes, Iterable[bytes]], start: bytes) -> set[bytes]:
    found: set[bytes] = set()
    left = list(after[start])
    while left:
        one = left.pop()
        if one not in found:
            found.add(one)
            left.extend(after[one])
    return found


def _identities(owners: Iterable[Owner]) -> Iterator[bytes]:
    return (each.identity for each in owners if each.identity is not None)
