"""Contestants take turns, each as a process of its own, and their books are checked.

A B C A B C ...: what disturbs the machine for a while then disturbs all of them, and ratios are
taken within a round.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import machine, work
from bench.job import Job, Sample

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.row import Contestant, Row
    from redislock._server import PrivateServer

TOP = Path(__file__).parents[1]
PATIENCE = 120.0


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long and how often."""

    rounds: int = 5
    warmup: float = 1.0
    duration: float = 3.0
    rate: float = 5000.0
    """Of the open loop, calls per second."""
    in_flight: int = 20_000
    flat: int = 10_000_000
    orders: int = 200_000
    """Of a flash sale."""
    waiters: int = 1_000
    leases: int = 10_000
    lease: float = 30.0
    """Of the locks that are renewed, in seconds."""
    unix: int = 0
    """1: over a unix socket. 0: over loopback TCP."""
    pin: int = 1
    """1: the server on one core, each client on another. 0: all of them wherever they like."""
    patience: float = 0.0
    """How long to wait for a quiet machine before each run, in seconds."""


class Course:
    """A server, a client that reads its books, and the cores."""

    def __init__(self, server: PrivateServer, plan: Plan, say: Callable[[str], None]) -> None:
        import redis

        self._server = server
        self._plan = plan
        self._say = say
        self.failed = False
        self._books: Any = redis.Redis.from_url(server.url)
        self.server_core, self.client_core = machine.two_cores() if plan.pin else (None, None)
        machine.pin_server(server.pid, self.server_core)
        work.check_command(self._books, server.url)

    def run_row(self, row: Row) -> tuple[dict[str, list[Sample]], dict[str, str]]:
        """All rounds of a row, and who could not run and why, by the contestants' names."""
        missing = {each.name: why for each in row.contestants if (why := each.missing())}
        samples: dict[str, list[Sample]] = {each.name: [] for each in row.contestants}
        rounds = 1 if row.once else self._plan.rounds
        for number in range(rounds):
            for each in row.contestants:
                if each.name in missing:
                    continue
                try:
                    sample = self._run(row, each)
                except (subprocess.SubprocessError, work.BooksError) as error:
                    missing[each.name] = f"failed: {_in_one_line(error)}"
                    self.failed = True
                    self._say(f"{row.name} {each.name}: {missing[each.name]}")
                    continue
                samples[each.name].append(sample)
                self._say(f"{row.name} {number + 1}/{rounds} {each.name}: {in_words(sample)}")
        return {name: runs for name, runs in samples.items() if runs}, missing

    def _job(self, row: Row, contestant: Contestant) -> Job:
        plan = self._plan
        return Job(
            family=contestant.family,
            kind=contestant.kind,
            url=self._server.url,
            server_pid=self._server.pid,
            core=self.server_core if row.together else self.client_core,
            warmup=plan.warmup,
            duration=plan.duration,
            users=contestant.users or row.users,
            accounts=row.accounts,
            operations=getattr(plan, row.count) if row.count else 0,
            rate=plan.rate,
            lease=plan.lease,
            options=contestant.options,
        )

    def _run(self, row: Row, contestant: Contestant) -> Sample:
        machine.wait_until_quiet(self._plan.patience)
        job = self._job(row, contestant)
        work.open_accounts(self._books, row.accounts)
        own = time.perf_counter(), machine.busy_seconds(), self._spent()
        sample = self._run_worker(job)
        now = time.perf_counter(), machine.busy_seconds(), self._spent()
        if own[1] is not None and now[1] is not None:
            others = ((now[1] - own[1]) - (now[2] - own[2])) / (now[0] - own[0])
            sample.others = max(0.0, round(others, 3))
        taken = work.taken(self._books, row.accounts)
        if taken != (sample.ok * work.AMOUNT if row.books else 0):
            raise work.BooksError(
                f"{row.name}, {contestant.name}: {sample.ok} withdrawals of {work.AMOUNT} "
                f"answered ok, and {taken} has left the accounts"
            )
        return sample

    def _spent(self) -> float:
        """Processor time of the server, of this process and of those it has run."""
        total = machine.server_seconds(self._server.pid)
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
            usage = resource.getrusage(who)
            total += usage.ru_utime + usage.ru_stime
        return total

    def _run_worker(self, job: Job) -> Sample:
        command = [sys.executable, "-m", "bench.worker", json.dumps(dataclasses.asdict(job))]
        unhurried = job.operations / 5000
        try:
            said = subprocess.run(
                command,
                cwd=TOP,
                stdout=subprocess.PIPE,
                text=True,
                timeout=job.warmup + job.duration + job.lease + unhurried + PATIENCE,
                check=True,
            ).stdout
        finally:
            # One that stops the server for a while may have been killed meanwhile.
            with contextlib.suppress(OSError):
                os.kill(job.server_pid, signal.SIGCONT)
        return Sample(**json.loads(said.splitlines()[-1]))


def _in_one_line(error: Exception) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return f"did not end within {error.timeout:.0f} s"
    if isinstance(error, subprocess.CalledProcessError):
        return f"ended with {error.returncode}"
    return str(error)


def in_words(sample: Sample) -> str:
    """A run's figures, on one line."""
    words = []
    if sample.rate is not None:
        words.append(f"{sample.rate:,.0f}/s")
    if sample.cpu is not None:
        words.append(f"{sample.cpu:.2f} µs CPU")
    if sample.refused:
        words.append(f"{sample.refused} refused")
    if sample.p50 is not None and sample.p99 is not None:
        words.append(f"p50 {sample.p50 * 1e6:.0f} µs, p99 {sample.p99 * 1e6:.0f} µs")
    if sample.bytes_per_operation is not None:
        words.append(f"{sample.bytes_per_operation:,.0f} bytes per operation")
    if sample.growth is not None:
        words.append(f"grew by {sample.growth / 1024:,.0f} KiB")
    for name in ("spread", "longest", "subscriptions", "connections", "load", "batch"):
        value = getattr(sample, name)
        if value is not None:
            words.append(f"{name} {value:,.4g}")
    if sample.others:
        words.append(f"others kept {sample.others:.2f} cores busy")
    return ", ".join(words)
