"""The floor: one prepared request written to a socket, and whatever comes back read from it.

No client can be cheaper on this machine in Python, and most of what it shows is the kernel's: two
system calls and a wake-up.
"""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

from bench.work import user_name, withdraw_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.job import Job

ENOUGH = 4096  # for any answer of the script


def is_ok(reply: bytes) -> bool:
    """Whether the money was taken: the answer is a bulk string."""
    return b"\r\nok " in reply


@contextlib.contextmanager
def blocking(job: Job) -> Iterator[Callable[[int], Callable[[], bytes]]]:
    """Calls for one thread."""
    path, port = job.address
    kind = socket.AF_INET if path is None else socket.AF_UNIX
    with socket.socket(kind, socket.SOCK_STREAM) as line:
        line.connect(("127.0.0.1", port) if path is None else path)
        if path is None:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        words = [word.encode() for word in withdraw_command(user_name(0))]
        request = b"*%d\r\n" % len(words)
        request += b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)

        def call() -> bytes:
            line.sendall(request)
            return line.recv(ENOUGH)

        yield lambda _index: call
