"""A proxy that misbehaves on command, between a client and a real server.

One thread of its own carries the bytes. Tests switch it at any moment: `cut` after exactly n
bytes of request or reply, `hold` bytes back and `release` them, `drop` them silently as a
half-open connection does, `dribble` them, `refuse` connections. Counting starts where it is
asked for, so a connection may be greeted first and broken later.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import selectors
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    Direction = Literal["request", "reply"]
    How = Literal["fin", "rst"]

BOTH: tuple[Direction, Direction] = ("request", "reply")
_RST = struct.pack("ii", 1, 0)  # SO_LINGER with no time to linger: close() sends RST
_CHUNK = 65536


@dataclasses.dataclass
class _Cut:
    direction: Direction
    left: int
    how: How | Literal["hold"]
    late: bool = False


@dataclasses.dataclass(eq=False)
class _End:
    """One socket of a pair, with the bytes that are to be written to it."""

    line: socket.socket
    out: collections.deque[bytes] = dataclasses.field(default_factory=collections.deque)


@dataclasses.dataclass(eq=False)
class _Pair:
    client: _End
    upstream: _End
    held: set[Direction]
    dropped: set[Direction]
    severed: bool = False  # the client's end is gone; what it sent is still under way
    next_byte_at: float = 0.0

    def towards(self, direction: Direction) -> _End:
        return self.upstream if direction == "request" else self.client


class Proxy:
    """Carries connections to `target`: a loopback port, or the path of a unix socket.

    Listens on a free loopback port, or on the unix socket `path`.
    """

    def __init__(self, target: int | str, path: str | None = None) -> None:
        self.target = target
        if path is None:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(path)
            self._listener.listen(128)
            self.url = f"unix://{path}"
        self._listener.setblocking(False)
        self.accepted = 0
        """Connections that were ever accepted, refused ones included."""
        self.carried: dict[Direction, int] = {"request": 0, "reply": 0}
        """Bytes that came from either side, also where they were dropped or are held."""
        self._pairs: list[_Pair] = []
        self._cuts: collections.deque[_Cut] = collections.deque()
        self._held: set[Direction] = set()  # of connections to come
        self._dropped: set[Direction] = set()
        self._refusing = False
        self._interval = 0.0
        self._closing = False
        self._commands: collections.deque[Callable[[], None]] = collections.deque()
        self._changed = threading.Condition()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake_in, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    # --- switches, from any thread but the proxy's; each has taken effect when it returns

    def cut(self, direction: Direction, after: int, how: How = "fin", *, late: bool = False) -> None:
        """Close the connection that brings one byte more than the next `after`; only once.

        That byte is not forwarded. With `late` only the client loses its connection; what it had
        sent reaches the server after all, when `release` is called.
        """
        self._plan(_Cut(direction, after, how, late))

    def then_cut(self, direction: Direction, after: int, how: How = "fin") -> None:
        """Cut once more, counting from the cut that is asked for already."""
        self._do(lambda: self._cuts.append(_Cut(direction, after, how)))

    def hold_after(self, direction: Direction, after: int) -> None:
        """Keep back, on the connection that brings it, what comes after the next `after` bytes."""
        self._plan(_Cut(direction, after, "hold"))

    def uncut(self) -> None:
        """Forget what `cut` or `hold_after` asked for and did not come."""
        self._do(self._cuts.clear)

    @property
    def cutting(self) -> bool:
        """Whether the cut, or `hold_after`, is still to come."""
        with self._changed:
            return bool(self._cuts)

    def hold(self, *directions: Direction, later_too: bool = True) -> None:
        """Keep bytes back until `release`; on later connections too, unless told otherwise."""

        def change() -> None:
            for pair in self._pairs:
                pair.held.update(directions or BOTH)
            if later_too:
                self._held.update(directions or BOTH)

        self._do(change)

    def drop(self, *directions: Direction, later_too: bool = True) -> None:
        """Swallow bytes without a sign, until `release`: the wire is cut, nobody is told."""

        def change() -> None:
            for pair in self._pairs:
                pair.dropped.update(directions or BOTH)
            if later_too:
                self._dropped.update(directions or BOTH)

        self._do(change)

    def release(self) -> None:
        """Forward what was held back, and everything from now on."""

        def change() -> None:
            self._held.clear()
            self._dropped.clear()
            for pair in self._pairs:
                pair.held.clear()
                pair.dropped.clear()

        self._do(change)

    def dribble(self, interval: float) -> None:
        """Forward replies one byte each `interval` seconds."""
        self._do(lambda: setattr(self, "_interval", interval))

    def refuse(self, yes: bool = True) -> None:
        """Hang up on new connections at once."""
        self._do(lambda: setattr(self, "_refusing", yes))

    def cut_all(self, how: How = "fin") -> None:
        """Close every connection now."""

        def change() -> None:
            for pair in list(self._pairs):
                self._close(pair, how)

        self._do(change)

    def lose(self) -> None:
        """Hang up on clients whose requests are held back; `release` still forwards those."""

        def change() -> None:
            for pair in self._pairs:
                if "request" in pair.held and not pair.severed:
                    pair.severed = True
                    self._hang_up(pair.client, "rst")

        self._do(change)

    def close(self) -> None:
        """Close everything and end the thread."""
        if not self._closing:
            self._closing = True
            with contextlib.suppress(OSError):  # the thread may have seen it already
                self._wake_out.send(b"x")
            self._thread.join(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- what a test waits for

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        with self._changed:
            return sum(not pair.severed for pair in self._pairs)

    def wait_for(self, what: Callable[[], bool], seconds: float = 5.0) -> None:
        """Wait until something holds that the proxy can see; fail after `seconds`."""
        with self._changed:
            assert self._changed.wait_for(what, seconds), "the proxy waited in vain"

    def wait_for_bytes(self, direction: Direction, after: int) -> None:
        """Wait until more than `after` bytes came."""
        self.wait_for(lambda: self.carried[direction] > after)

    # --- the thread

    def _plan(self, cut: _Cut) -> None:
        def change() -> None:
            self._cuts.clear()
            self._cuts.append(cut)

        self._do(change)

    def _do(self, change: Callable[[], None]) -> None:
        done = threading.Event()
        self._commands.append(change)
        self._commands.append(done.set)
        self._wake_out.send(b"x")
        assert done.wait(5), "the proxy's thread has ended"

    def _run(self) -> None:
        try:
            while not self._closing:
                events = self._selector.select(self._interval or None)
                with self._changed:
                    for key, _ in events:
                        self._serve(key)
                    self._obey()
                    for pair in list(self._pairs):
                        self._write(pair, "request")
                        self._write(pair, "reply")
                    self._changed.notify_all()
        finally:
            for pair in list(self._pairs):
                self._close(pair, "fin")
            self._selector.close()
            for line in (self._listener, self._wake_in, self._wake_out):
                line.close()

    def _obey(self) -> None:
        # A switch waits for its effect: bytes that are to be forwarded go first.
        while self._commands:
            self._commands.popleft()()
            for pair in list(self._pairs):
                self._write(pair, "request")
                self._write(pair, "reply")

    def _serve(self, key: selectors.SelectorKey) -> None:
        if key.fileobj is self._wake_in:
            with contextlib.suppress(BlockingIOError):
                self._wake_in.recv(_CHUNK)
        elif key.fileobj is self._listener:
            self._accept()
        elif key.data[0] in self._pairs:
            self._read(*key.data)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        self.accepted += 1
        upstream = None if self._refusing else self._connect()
        if upstream is None:
            client.close()
            return
        pair = _Pair(_End(client), _End(upstream), set(self._held), set(self._dropped))
        self._pairs.append(pair)
        for line, direction in ((client, "request"), (upstream, "reply")):
            line.setblocking(False)
            if line.family == socket.AF_INET:
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(line, selectors.EVENT_READ, (pair, direction))

    def _connect(self) -> socket.socket | None:
        line = socket.socket(socket.AF_INET if isinstance(self.target, int) else socket.AF_UNIX)
        try:
            line.connect(("127.0.0.1", self.target) if isinstance(self.target, int) else self.target)
        except OSError:
            line.close()
            return None
        return line

    def _read(self, pair: _Pair, direction: Direction) -> None:
        source = pair.client if direction == "request" else pair.upstream
        try:
            data = source.line.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            if direction in pair.dropped:
                self._selector.unregister(source.line)  # nobody is told
            else:
                self._close(pair, "fin")
            return
        self.carried[direction] += len(data)
        if direction in pair.dropped or pair.severed:
            return
        cut = self._cuts[0] if self._cuts else None
        if cut is None or cut.direction != direction:
            pair.towards(direction).out.append(data)
        elif len(data) <= cut.left:
            cut.left -= len(data)
            pair.towards(direction).out.append(data)
        else:
            self._execute(cut, pair, data)

    def _execute(self, cut: _Cut, pair: _Pair, data: bytes) -> None:
        direction = cut.direction
        self._cuts.popleft()
        whole = cut.late or cut.how == "hold"
        pair.towards(direction).out.append(data[: cut.left])
        self._write(pair, direction)
        if whole:
            pair.held.add(direction)
            pair.towards(direction).out.append(data[cut.left :])
        if cut.late:
            pair.severed = True
            self._hang_up(pair.client, cut.how)
        elif not whole:
            self._close(pair, cut.how)

    def _write(self, pair: _Pair, direction: Direction) -> None:
        end = pair.towards(direction)
        if not end.out or direction in pair.held or pair not in self._pairs:
            return
        slowly = direction == "reply" and self._interval > 0
        if slowly:
            if time.monotonic() < pair.next_byte_at:
                return
            pair.next_byte_at = time.monotonic() + self._interval
        while end.out:
            chunk = end.out.popleft()
            try:
                sent = end.line.send(chunk[:1] if slowly else chunk)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._close(pair, "fin")
                return
            if chunk[sent:]:
                end.out.appendleft(chunk[sent:])
            if slowly or sent == 0:
                return

    def _close(self, pair: _Pair, how: str) -> None:
        if pair in self._pairs:
            self._pairs.remove(pair)
            self._hang_up(pair.upstream, "fin")
            if not pair.severed:
                self._hang_up(pair.client, how)

    def _hang_up(self, end: _End, how: str) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(end.line)
        if how == "rst":
            end.line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
        end.line.close()
