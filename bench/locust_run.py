"""Runs `locust` itself, in one process, on `locustfile.py` with either client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench.job import Sample

if TYPE_CHECKING:
    from bench.job import Job

TOP = str(Path(__file__).parents[1])
SECONDS_TO_SPAWN = 30
SECONDS_TO_STOP = 10


def run_locust(job: Job) -> Sample:
    """All users at once, headless, for as long as the locustfile wants."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "figures.json"
        command = [sys.executable, "-m", "locust", "-f", str(Path(__file__).with_name("locustfile.py"))]
        command += ["--headless", "--users", str(job.users), "--spawn-rate", str(job.users)]
        command += ["--host", job.url, "--stop-timeout", str(SECONDS_TO_STOP), "--only-summary"]
        longest = job.warmup + job.duration + SECONDS_TO_SPAWN
        command += ["--run-time", str(round(longest))]
        said = subprocess.run(
            command,
            env={
                **os.environ,
                "BENCH_CLIENT": str(job.options["client"]),
                "BENCH_WARMUP": str(job.warmup),
                "BENCH_DURATION": str(job.duration),
                "BENCH_RESULT": str(result),
                "PYTHONPATH": os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), TOP))),
            },
            capture_output=True,
            text=True,
            timeout=longest + SECONDS_TO_STOP + 20,
            check=False,
        )
        if said.returncode != 0 or not result.exists():
            raise RuntimeError(f"locust ended with {said.returncode}: {said.stderr[-2000:]}")
        return Sample(**json.loads(result.read_text(encoding="ascii")))
