"""The contestant redis-benchmark: the C program of the Redis project, calling our script."""

from __future__ import annotations

import csv
import resource
import shutil
import subprocess
from typing import TYPE_CHECKING

from bench.job import Sample
from bench.loops import cpu_seconds
from bench.work import user_name, withdraw_command

if TYPE_CHECKING:
    from bench.job import Job

MISSING = "redis-benchmark is not on PATH; install it with: apt install redis-tools  or: brew install redis"
WARMUP_ROUNDS = 32


def find() -> str | None:
    """The program, if there is one."""
    return shutil.which("redis-benchmark")


def run_benchmark(job: Job) -> Sample:
    """`-c users -P pipeline`, for as many requests as fill the window at the warm-up's rate."""
    pipeline = int(job.options["pipeline"])
    batch = job.users * pipeline
    warm = batch * max(WARMUP_ROUNDS, 2048 // batch)
    rate = _run(job, warm, pipeline)["rps"]
    measured = batch * max(1, round(rate * job.duration / batch))
    before = cpu_seconds(resource.RUSAGE_CHILDREN)
    figures = _run(job, measured, pipeline)
    cpu = cpu_seconds(resource.RUSAGE_CHILDREN) - before
    return Sample(
        ok=warm + measured,
        rate=figures["rps"],
        cpu=cpu / measured * 1e6,
        p50=figures["p50_latency_ms"] / 1000,
        p99=figures["p99_latency_ms"] / 1000,
    )


def _run(job: Job, requests: int, pipeline: int) -> dict[str, float]:
    program = find()
    if program is None:
        raise FileNotFoundError(MISSING)
    path, port = job.address
    where = ["-p", str(port)] if path is None else ["-s", path]
    settings = ["-c", str(job.users), "-P", str(pipeline), "-n", str(requests), "--csv"]
    said = subprocess.run(
        [program, *where, *settings, *withdraw_command(user_name(0))],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout
    # The title, which holds the command, may hold commas and quotes: figures are the last columns.
    head, *_, row = [line for line in csv.reader(said.splitlines()) if len(line) > 1]
    names = head[1:]
    return dict(zip(names, map(float, row[-len(names) :]), strict=True))
