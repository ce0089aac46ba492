"""The contestant Valkey GLIDE, sync and async, with the same EVALSHA as everyone.

`custom_command` is the faster of its two ways to run a script by about a tenth.
"""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any

from bench.redis_py import is_ok
from bench.work import user_name, withdraw_command

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from bench.job import Job

    Call = Callable[[], Any]

__all__ = ["blocking", "cooperative", "is_ok"]

TIMEOUT_MS = 60_000


def _call_maker(client: Any, job: Job) -> Callable[[int], Call]:
    def make(index: int) -> Call:
        words = withdraw_command(user_name(index % job.accounts))
        return functools.partial(client.custom_command, words)

    return make


def _settings(module: Any, job: Job) -> Any:
    path, port = job.address
    if path is None:
        address = module.NodeAddress("127.0.0.1", port)
    else:
        address = module.NodeAddress(unix_socket_path=path)
    return module.GlideClientConfiguration([address], request_timeout=TIMEOUT_MS)


@contextlib.contextmanager
def blocking(job: Job) -> Iterator[Callable[[int], Call]]:
    """Calls for threads, all on one client."""
    import glide_sync

    client = glide_sync.GlideClient.create(_settings(glide_sync, job))
    try:
        yield _call_maker(client, job)
    finally:
        client.close()


@contextlib.asynccontextmanager
async def cooperative(job: Job) -> AsyncIterator[Callable[[int], Call]]:
    """Calls for tasks, all on one client."""
    import glide

    client = await glide.GlideClient.create(_settings(glide, job))
    try:
        yield _call_maker(client, job)
    finally:
        await client.close()
