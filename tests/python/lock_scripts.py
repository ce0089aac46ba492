"""The scripts of locks, called as the core calls them, through redis-py on a real server.

Knows their keys and arguments and no more. The server's clock cannot be moved, so what time would
do is done by hand: `end_lease`, `fall_silent`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis

SOURCES = Path(__file__).parents[2] / "src" / "locks"
LEASE = 60_000
CHANNEL = b"redislock:wake:test"
# All that is known of each lock, in one step.
LOOK = """
local said = {}
local now = redis.call('TIME')[1] * 1000
for i = 1, #KEYS, 6 do
  local holders, kept = {}, {}
  if redis.call('TYPE', KEYS[i]).ok == 'zset' then
    holders = redis.call('ZRANGEBYSCORE', KEYS[i], now, 'inf')
    kept = redis.call('ZRANGE', KEYS[i], 0, -1)
  else
    holders = {redis.call('GET', KEYS[i]) or nil}
  end
  said[#said + 1] = {holders, redis.call('ZRANGE', KEYS[i + 1], 0, -1), redis.call('HKEYS', KEYS[i + 2]),
      redis.call('GET', KEYS[i + 4]) or '0', kept, redis.call('HKEYS', KEYS[i + 5])}
end
return said
"""
SIDES = (b"queue", b"waiters", b"alive", b"fence", b"holders")


def source(name: str) -> str:
    """Return a script with what it includes, as the build puts it together."""
    text = (SOURCES / f"{name}.lua").read_text(encoding="utf-8")
    return re.sub(r"(?m)^-- include (\w+)$", lambda found: source(found[1]), text)


def stop_time(text: str) -> str:
    """Nothing ends by itself: a slow machine must not tell another story."""
    for name, much in (("handed_lease", 10**7), ("alive_within", 10**7), ("forgotten_after", 10**10)):
        text = re.sub(rf"local {name} = \d+", f"local {name} = {much}", text)
    return text


def side(name: bytes) -> bytes:
    """Return what the names of a lock's side keys begin with."""
    opened = name.find(b"{")
    closed = name.find(b"}", opened + 1) if opened >= 0 else -1
    return name + b":redislock:t:" if closed > opened + 1 else b"{" + name + b"}:redislock:"


def keys(name: bytes) -> list[bytes]:
    """Return the six keys of a lock."""
    return [name, *(side(name) + each for each in SIDES)]


def make_token(owner: str, number: int = 0) -> bytes:
    """Name an owner of a process as the core does: "host:pid:nonce:who/random"."""
    return f"host:1:nonce:{owner}/{number:032x}".encode()


def packed(names: Sequence[bytes]) -> bytes:
    """Several names in one argument."""
    return b"".join(b"%d:%s" % (len(each), each) for each in names) if len(names) > 1 else b""


class Look(NamedTuple):
    """What the keys of a lock hold."""

    holders: set[bytes]
    line: list[bytes]
    wishes: set[bytes]
    fence: int
    leases: set[bytes]
    kinds: set[bytes]


class Scripts:
    """Locks on a server, by their scripts alone."""

    def __init__(self, raw: redis.Redis, *, timeless: bool = False) -> None:
        self.raw = raw
        names = ("acquire", "claim", "release", "refresh", "extend", "renew")
        prepared = stop_time if timeless else str
        self._look = raw.register_script(LOOK)
        self._scripts = {name: raw.register_script(prepared(source(name))) for name in names}

    def call(self, script: str, given: Sequence[bytes], *arguments: Any) -> Any:
        """Call a script with all keys of some locks."""
        every = [key for name in given for key in keys(name)]
        return self._scripts[script](keys=every, args=arguments)

    def acquire(
        self,
        names: bytes | Sequence[bytes],
        token: bytes,
        kind: str = "m",
        *,
        limit: int = 1,
        lease: int = LEASE,
        wait: int = 0,
        channel: bytes = CHANNEL,
        ticket: int = 0,
        barging: bool = False,
        detect: bool = True,
    ) -> Any:
        """Take locks, or with a waiter's number `wait` get in line; return the reply's words."""
        every = [names] if isinstance(names, bytes) else sorted(names)
        said = self.call(
            "acquire",
            every,
            token,
            lease,
            kind,
            limit,
            int(barging),
            int(wait > 0),
            int(detect and wait > 0),
            channel,
            wait,
            ticket,
            packed(every),
        )
        return said if isinstance(said, list) else said.split()

    def claim(
        self, names: bytes | Sequence[bytes], token: bytes, kind: str = "m", *, channel: bytes = CHANNEL
    ) -> list[bytes]:
        """Make one's own what was handed over."""
        every = [names] if isinstance(names, bytes) else sorted(names)
        said: bytes = self.call("claim", every, token, LEASE, kind, channel)
        return said.split()

    def release(self, names: bytes | Sequence[bytes], token: bytes, kind: str = "m") -> bool:
        """Give locks back, or the place in line."""
        every = [names] if isinstance(names, bytes) else sorted(names)
        return bool(self.call("release", every, token, kind))

    def refresh(self, *names: bytes, channel: bytes = CHANNEL, waits: bytes = b"") -> list[list[Any]]:
        """Say that a process waits for these locks."""
        said: list[list[Any]] = self.call("refresh", names, channel, waits)
        return said

    def renew(self, *each: tuple[bytes, str, bytes]) -> list[int]:
        """Renew the leases of name, kind and token."""
        every = [key for name, _, _ in each for key in (name, side(name) + b"holders")]
        said: list[int] = self._scripts["renew"](
            keys=every, args=[word for _, kind, token in each for word in (kind, token, LEASE)]
        )
        return said

    # --- what can be seen, and what time would do

    def look(self, names: Sequence[bytes]) -> list[Look]:
        """Look at locks."""
        said = self._look(keys=[key for name in names for key in keys(name)])
        return [
            Look(set(each[0]), each[1], set(each[2]), int(each[3]), set(each[4]), set(each[5]))
            for each in said
        ]

    def holders(self, name: bytes) -> set[bytes]:
        """Return the tokens whose leases have not ended."""
        if self.raw.type(name) == b"zset":
            seconds, micros = self.raw.time()
            return set(self.raw.zrangebyscore(name, f"({seconds * 1000 + micros // 1000}", "inf"))
        holder = self.raw.get(name)
        return set() if holder is None else {holder}

    def line(self, name: bytes) -> list[bytes]:
        """Return the waiters' tokens, in order."""
        waiting: list[bytes] = self.raw.zrange(side(name) + b"queue", 0, -1)
        return waiting

    def end_lease(self, name: bytes, token: bytes) -> None:
        """The lease ends, for nobody renewed it."""
        if self.raw.type(name) == b"zset":
            self.raw.zadd(name, {token: 1}, xx=True)
        elif self.raw.get(name) == token:
            self.raw.delete(name)

    def fall_silent(self, name: bytes, channel: bytes = CHANNEL, milliseconds: int = 1000) -> None:
        """A process has said nothing for so long."""
        seconds, micros = self.raw.time()
        self.raw.zadd(
            side(name) + b"alive", {channel: seconds * 1000 + micros // 1000 - milliseconds}, xx=True
        )
