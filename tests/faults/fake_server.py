"""A peer that says what it is told, instead of a server.

It understands as much of requests as is needed to answer each command: a test gives the greeting's
answer and what comes afterwards, as bytes, however wrong.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from typing_extensions import Self

    Answer = bytes | Iterable[bytes] | None

HELLO = b"%3\r\n$6\r\nserver\r\n$5\r\nredis\r\n$2\r\nid\r\n:7\r\n$5\r\nproto\r\n:3\r\n"


def greeted(said: Answer) -> Callable[[list[bytes]], Answer]:
    """Answer the rest of an exclusive connection's greeting well, and everything else with `said`."""
    proof: dict[bytes, Answer] = {b"MULTI": b"+OK\r\n", b"EXEC": b"*0\r\n"}
    return lambda words: proof.get(words[0], said)


class FakeServer:
    """Answers each command by `answer(words)`; None closes the connection, b"" says nothing."""

    def __init__(self, answer: Callable[[list[bytes]], Answer], greeting: Answer = HELLO) -> None:
        self._answer = answer
        self._greeting = greeting
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lines: list[socket.socket] = []
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        self.asked: list[list[bytes]] = []
        """Every command that came, in order."""
        self.accepted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Close everything."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for line in [self._listener, *self._lines]:
            with contextlib.suppress(OSError):
                line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            self._lines.append(line)
            threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), line, line.makefile("rb") as requests:
            while words := self._read(requests.readline, requests.read):
                self.asked.append(words)
                answer = self._answer_to(words)
                if answer is None:
                    return
                for chunk in [answer] if isinstance(answer, bytes) else answer:
                    line.sendall(chunk)

    def _answer_to(self, words: list[bytes]) -> Answer:
        if words[0] == b"HELLO":
            return self._greeting
        if words == [b"CLIENT", b"INFO"]:  # the other part of each greeting
            return b"-ERR Unknown subcommand or wrong number of arguments for 'INFO'\r\n"
        return self._answer(words)

    @staticmethod
    def _read(readline: Callable[[], bytes], read: Callable[[int], bytes]) -> list[bytes]:
        head = readline()
        words = []
        for _ in range(int(head[1:]) if head else 0):
            size = int(readline()[1:])
            words.append(read(size))
            read(2)
        return words
