"""The contestants of the flash sale: three processes that send orders for one stock, by the same script.

redislock's are the replicas of `redislock flash-sale`, without a database behind them. redis-py's do what
somebody would write: an event loop in each process, 64 tasks with a pool of connections, EVALSHA with
the words that redislock sends, but for the ids. Rates count all orders, also those that found nothing left.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
import secrets
import time
from typing import TYPE_CHECKING, Any, Final

from bench import work
from bench.job import Sample

if TYPE_CHECKING:
    from bench.job import Job

PROCESSES: Final = 3
PIECES: Final = 20  # one order of so many finds something
SKU: Final = "flash-sale"
RECORD: Final = 6
ID: Final = 9
TOKEN: Final = 10
LONGEST_START: Final = 60.0


def run_sale(job: Job) -> Sample:
    """A sale by redislock's own replicas."""
    from redislock.scenarios import flash_sale

    sale = flash_sale.Sale(
        "lua",
        stock=job.operations // PIECES,
        orders=job.operations,
        replicas=PROCESSES,
        at_once=job.users,
        sku=SKU,
        tells=False,
    )
    before = _children()
    report = flash_sale.run(sale, job.url, prefix=work.PREFIX)
    if not report or report.unanswered:
        raise work.BooksError(str(report))
    return Sample(
        ok=report.ok,
        rate=report.rate,
        refused=report.failed,
        cpu=(_children() - before) / job.operations * 1e6,
    )


def run_redis_py(job: Job) -> Sample:
    """The same, written with redis-py."""
    words = _learn(job)
    context = multiprocessing.get_context("fork")
    gate = context.Barrier(PROCESSES)
    pipes = [context.Pipe(duplex=False) for _ in range(PROCESSES)]
    work_each = [job.operations // PROCESSES + (n < job.operations % PROCESSES) for n in range(PROCESSES)]
    before = _children()
    workers = [
        context.Process(target=_sell, args=(job, words, count, gate, tell))
        for count, (_, tell) in zip(work_each, pipes, strict=True)
    ]
    for each in workers:
        each.start()
    for _, tell in pipes:
        tell.close()
    told = [hear.recv() for hear, _ in pipes]
    for each in workers:
        each.join(LONGEST_START)
    ok = sum(count for count, _ in told)
    if ok != job.operations // PIECES:
        raise work.BooksError(f"{ok} orders were made of {job.operations // PIECES}")
    return Sample(
        ok=ok,
        rate=job.operations / max(elapsed for _, elapsed in told),
        refused=job.operations - ok,
        cpu=(_children() - before) / job.operations * 1e6,
    )


def _learn(job: Job) -> list[bytes]:
    """Set the stock, let redislock order once, and return what the server was sent."""
    import redis

    import redislock

    path, port = job.address
    with (
        redislock.Client(job.url, prefix=work.PREFIX) as client,
        redis.Redis(**_where(path, port)) as server,
    ):
        stock = client.stock(SKU)
        stock.set(1)
        server.config_set("slowlog-log-slower-than", 0)
        server.slowlog_reset()
        try:
            stock.order(1, "learned")
            sent = [each["command"].split(b" ") for each in server.slowlog_get(16)]
        finally:
            server.config_set("slowlog-log-slower-than", 10_000)
        stock.set(job.operations // PIECES)
        server.delete(stock.keys()["outbox"])
    (words,) = (each for each in sent if each[0] in (b"EVALSHA", b"EVAL") and each[ID] == b"learned")
    return words


def _sell(job: Job, words: list[bytes], count: int, gate: Any, tell: Any) -> None:
    tell.send(asyncio.run(_sell_all(job, words, count, gate)))


async def _sell_all(job: Job, words: list[bytes], count: int, gate: Any) -> tuple[int, float]:
    import redis.asyncio

    path, port = job.address
    client = redis.asyncio.Redis(**_where(path, port), max_connections=job.users)
    keys, arguments, record = words[3:8], words[8:], words[RECORD].removesuffix(b"learned")
    left, ok = iter(range(count)), 0
    name = f"{os.getpid()}-".encode()

    async def shop() -> None:
        nonlocal ok
        for number in left:
            order_id = name + str(number).encode()
            reply = await client.evalsha(
                words[1].decode(),
                5,
                *keys[:3],
                record + order_id,
                keys[4],
                arguments[0],
                order_id,
                secrets.token_hex(8),
                *arguments[3:],
            )
            ok += reply.startswith(b"ok")

    await client.ping()
    gate.wait(LONGEST_START)
    began = time.perf_counter()
    await asyncio.gather(*(shop() for _ in range(job.users)))
    elapsed = time.perf_counter() - began
    await client.aclose()
    return ok, elapsed


def _where(path: str | None, port: int | None) -> dict[str, Any]:
    return {"unix_socket_path": path} if path is not None else {"host": "127.0.0.1", "port": port}


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
