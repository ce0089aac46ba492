"""The process of one contestant: pins itself, runs its job, prints its sample as one JSON line."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import sys

from bench.job import Job, Sample


def _run(job: Job) -> Sample:
    if job.kind == "gevent" or job.options.get("gevent"):
        from gevent import monkey

        monkey.patch_all()
    from bench import loops

    family = importlib.import_module(f"bench.{job.family}")
    if job.kind == "asyncio":
        return loops.run_asyncio(family.cooperative, family.is_ok, job)
    if job.kind in ("sync", "threads", "gevent"):
        runner = getattr(loops, f"run_{job.kind}")
        with family.blocking(job) as make:
            sample: Sample = runner(make, family.is_ok, job)
            return sample
    if job.kind == "latency":
        from bench.latency import run_latency

        return run_latency(family, job)
    own: Sample = getattr(family, f"run_{job.kind}")(job)
    return own


def main(text: str) -> int:
    """Run the job that the text describes."""
    job = Job(**json.loads(text))
    if job.core is not None:
        os.sched_setaffinity(0, {job.core})  # threads and processes begun later inherit it
    sample = _run(job)
    sys.stdout.write(json.dumps(dataclasses.asdict(sample)) + "\n")
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
