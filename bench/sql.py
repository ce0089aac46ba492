"""The SQL clients: redislock from threads, and pgbench with the very same statements.

Each run has a PostgreSQL of its own, on as many cores as there are: neither client nor server is kept on
one. The accounts are drawn evenly. pgbench has the account's name and balance as parameters
of prepared statements, as redislock has, but sends each statement in a round trip of its own.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import re
import resource
import subprocess
from typing import TYPE_CHECKING, Any, Final

from bench import work
from bench.job import Sample
from bench.loops import cpu_seconds, run_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.job import Job
    from redislock.sql import PrivatePostgres
    from redislock.sql._statements import Statement

ACCOUNTS: Final = 1000
_VALUES: Final = {
    "user": ":name",
    "amount": str(work.AMOUNT),
    "logged": str(work.AMOUNT),
    "strategy": "'bench'",
    "balance": ":left",
}


def missing() -> str | None:
    """Why this family can't run here; None if it can."""
    from redislock._server import ServerNotFoundError
    from redislock.sql import find_postgres

    try:
        found = find_postgres()
    except ServerNotFoundError as error:
        return str(error)
    return None if os.access(found.path("pgbench"), os.X_OK) else f"{found.source} comes without pgbench"


@contextlib.contextmanager
def _database(job: Job) -> Iterator[PrivatePostgres]:
    from redislock import sql

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    with sql.PrivatePostgres(durable=job.options["durable"]) as server:
        with sql.connect(server.url) as client:
            client.migrate()
            client.reset(dict.fromkeys(range(1, ACCOUNTS + 1), work.BALANCE), timeout=30)
        yield server


def _check(server: PrivatePostgres, ok: int) -> None:
    import psycopg

    with psycopg.connect(server.url) as line:
        row = line.execute("SELECT sum(balance), sum(version) FROM accounts").fetchone()
    left, changes = (int(each) for each in row or (0, 0))
    taken = ACCOUNTS * work.BALANCE - left
    if (taken, changes) != (ok * work.AMOUNT, ok):
        raise work.BooksError(f"{ok} withdrawals were ok; {taken} was taken in {changes} changes")


def is_ok(result: Any) -> bool:
    """Whether a call has withdrawn."""
    return bool(result)


def run_redislock(job: Job) -> Sample:
    """`users` threads on one client."""
    from redislock import sql

    with _database(job) as server, sql.connect(server.url) as client:
        call = getattr(client, f"withdraw_{job.options['strategy']}")

        def make(index: int) -> Callable[[], Any]:
            draw = random.Random(index).randint
            return lambda: call(str(draw(1, ACCOUNTS)), work.AMOUNT)

        sample = run_threads(make, is_ok, job)
        _check(server, sample.ok)
        return sample


def run_pgbench(job: Job) -> Sample:
    """pgbench with `users` clients and one thread."""
    with _database(job) as server:
        script = server.data.parent / "script.sql"
        script.write_text(_script(job.options["strategy"]), encoding="utf-8")
        warm, _ = _pgbench(job, server, str(script), job.warmup)
        before = cpu_seconds(resource.RUSAGE_CHILDREN)
        measured, rate = _pgbench(job, server, str(script), job.duration)
        cpu = cpu_seconds(resource.RUSAGE_CHILDREN) - before
        _check(server, warm + measured)
        return Sample(ok=warm + measured, rate=rate, cpu=cpu / measured * 1e6)


def _pgbench(job: Job, server: PrivatePostgres, script: str, seconds: float) -> tuple[int, float]:
    where = ["-h", str(server.data), "-U", "postgres", "postgres"]
    how = ["-n", "-M", "prepared", "-c", str(job.users), "-T", str(max(1, math.ceil(seconds))), "-f", script]
    said = subprocess.run(
        [server.program.path("pgbench"), *how, *where],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout
    done = re.search(r"actually processed: (\d+)", said)
    rate = re.search(r"^tps = ([\d.]+)", said, re.MULTILINE)
    if done is None or rate is None:
        raise work.BooksError(f"pgbench says something else: {said}")
    return int(done[1]), float(rate[1])


def _script(strategy: str) -> str:
    from redislock.sql import _statements

    steps = _statements.Statements(logs=True)
    draw = f"\\set name random(1, {ACCOUNTS})\n"
    if strategy == "atomic":
        return f"{draw}{_text(steps.take[0].statements[0])};\n"
    lock, write = steps.lock[0].statements[1], steps.commit_write[0].statements[0]
    decide = f"\\set left :balance - {work.AMOUNT}\n"
    return f"{draw}BEGIN;\n{_text(lock)} \\gset\n{decide}{_text(write)};\nCOMMIT;\n"


def _text(statement: Statement) -> str:
    def value(found: re.Match[str]) -> str:
        return _VALUES[statement.parameters[int(found[1]) - 1]]

    return re.sub(r"\$(\d+)", value, statement.postgres.decode())
