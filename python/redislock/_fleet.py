"""Several processes that put one strategy under load together, driven as if they were one generator.

`Fleet` has the methods of `_core.LoadGenerator`. Each process (`_worker`) drives its share of the
users, all on the same accounts; counts, money and histograms are added up, so that a quantile is
that of all withdrawals and no average. It makes and removes no account.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from redislock import _core, _errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Fleet", "shares"]

# sys.path of the child is that of its parent, so that both import the same package.
_PROGRAM: Final = "import sys; sys.path[:] = sys.argv[1:]; from redislock._worker import main; main()"
_PATIENCE: Final = 30.0  # seconds for a process to start
_LAST_WORDS: Final = 5.0  # seconds for its report, once told to end at once
_ADDED: Final = ("operations", "attempts", "round_trips", "statements", "missed")
_PHASES: Final = ("fresh", "warming", "measuring", "draining", "over")
_NOTHING: Final[dict[str, Any]] = {
    "phase": "warming",
    "progress": 0.0,
    "elapsed": 0.0,
    "in_flight": 0,
    "operations": 0,
    "throughput": 0.0,
    "statuses": {},
}


def shares(settings: Mapping[str, Any], processes: int) -> list[dict[str, Any]]:
    """Return what each process is to do: its part of users, count and rate, and a seed of its own."""
    out = []
    for index in range(processes):
        mine = dict(settings)
        mine["users"] = _part(settings["users"], processes, index)
        if settings.get("count") is not None:
            mine["count"] = _part(settings["count"], processes, index)
        if settings.get("rate") is not None:
            mine["rate"] = settings["rate"] / processes
        # An odd step through all seeds: the first process draws what one alone would.
        mine["seed"] = (settings["seed"] + index * 0x9E3779B97F4A7C15) % 2**64
        out.append(mine)
    return out


def _part(whole: int, parts: int, index: int) -> int:
    return whole // parts + (index < whole % parts)


class _Worker:
    """One process as its parent sees it. What it says is taken in by a thread.

    Ctrl-C is raised in the main thread only; so it cannot come between a line and its record.
    """

    def __init__(self, job: Mapping[str, Any], news: threading.Event) -> None:
        self.ready = False
        self.snapshot = _NOTHING
        self.report: dict[str, Any] | None = None
        self.ended = False
        self._news = news
        # A session of its own: Ctrl-C in a terminal is the parent's to see, who tells the others.
        self._process = subprocess.Popen(  # noqa: S603 - this very interpreter
            [sys.executable, "-c", _PROGRAM, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()
        self.tell(json.dumps(job, default=os.fspath))

    def tell(self, line: str) -> None:
        """Send a line; a process that is gone is noticed elsewhere."""
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            pass

    def _listen(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        with self._process.stdout as lines:
            for line in lines:
                if not line.endswith("\n"):
                    break  # it was killed in the middle of a word
                self._take_in(json.loads(line))
                self._news.set()
        self.ended = True
        self._news.set()

    def _take_in(self, message: dict[str, Any]) -> None:
        if "report" in message:
            self.report = message["report"]
            self.snapshot = {**self.snapshot, "phase": "over", "progress": 1.0}
        elif "snapshot" in message:
            self.snapshot = message["snapshot"]
        else:
            self.ready = True

    def end(self) -> int:
        """Let it go, or make it; answer its exit code."""
        try:
            if self._process.stdin is not None:
                self._process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(1.0)
        return self._process.returncode


class Fleet:
    """Several generators in processes of their own."""

    def __init__(
        self,
        url: str | None,
        options: Mapping[str, Any],
        *,
        prefix: str,
        accounts: int,
        settings: Mapping[str, Any],
        processes: int,
    ) -> None:
        self._accounts = accounts
        self._jobs = [
            {"url": url, "options": dict(options), "prefix": prefix, "accounts": accounts, "settings": each}
            for each in shares(settings, processes)
        ]
        self._news = threading.Event()
        self._workers: list[_Worker] = []
        self._broken = False

    def start(self) -> None:
        """Start the processes, and let them begin together once all are ready."""
        try:
            self._start()
        except BaseException:  # Ctrl-C too: some may have begun, and none is to be waited for
            self._broken = True
            self._tell_all("abort")
            raise

    def step(self, seconds: float) -> bool:
        """Go on for about that long. False once the run is over."""
        if self._broken or not self._workers:
            return False
        until = time.monotonic() + seconds
        while not self._over() and (left := until - time.monotonic()) > 0:
            self._news.wait(left)
            self._news.clear()
        self._check()
        return not self._over()

    def stop(self) -> None:
        """Begin nothing new; steps go on until what is under way has ended."""
        self._tell_all("stop")

    def abort(self) -> None:
        """End at once; what is under way has an unknown outcome."""
        self._tell_all("abort")
        give_up = time.monotonic() + _LAST_WORDS
        while not self._over() and time.monotonic() < give_up:
            self._news.wait(0.05)
            self._news.clear()

    def snapshot(self) -> dict[str, Any]:
        """How far the run has got."""
        seen = [each.snapshot for each in self._workers] or [_NOTHING]
        return {
            "phase": min((each["phase"] for each in seen), key=_PHASES.index),
            "progress": min(each["progress"] for each in seen),
            "elapsed": max(each["elapsed"] for each in seen),
            "in_flight": sum(each["in_flight"] for each in seen),
            "operations": sum(each["operations"] for each in seen),
            "throughput": sum(each["throughput"] for each in seen),
            "statuses": _total(each["statuses"] for each in seen),
        }

    def report(self) -> dict[str, Any]:
        """All that was counted, by all of them."""
        self._check()
        reports = [each.report for each in self._workers if each.report is not None]
        if not self._workers or len(reports) < len(self._workers):
            raise _errors.Error("a process of the load generator did not tell what it took")
        return _merge(reports, self._accounts)

    def close(self) -> None:
        """Let the processes go."""
        for each in self._workers:
            each.end()

    def _start(self) -> None:
        with ThreadPoolExecutor(1) as thread:  # where Ctrl-C cannot come between a process and its name
            thread.submit(self._spawn).result()
        give_up = time.monotonic() + _PATIENCE
        while not all(each.ready for each in self._workers):
            self._check()
            if time.monotonic() > give_up:
                raise _errors.Error("the processes of the load generator do not start")
            self._news.wait(0.05)
            self._news.clear()
        self._tell_all("go")

    def _spawn(self) -> None:
        for job in self._jobs:
            self._workers.append(_Worker(job, self._news))

    def _tell_all(self, word: str) -> None:
        for each in self._workers:
            each.tell(word)

    def _over(self) -> bool:
        return all(each.report is not None for each in self._workers)

    def _check(self) -> None:
        """Raise where a process ended without a word: nobody knows what it took."""
        for each in self._workers:
            if each.ended and each.report is None and not self._broken:
                self._broken = True
                code = each.end()
                raise _errors.Error(
                    f"a process of the load generator ended with exit code {code}, "
                    "and nobody knows what it took"
                )


# ---- merging


def _total(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    out: Counter[str] = Counter()
    for each in counts:
        out.update(each)
    return dict(out)


def _merge(reports: Sequence[dict[str, Any]], accounts: int) -> dict[str, Any]:
    elapsed = max(each["elapsed"] for each in reports)
    # They begin within the same millisecond; the window of all lasts as long as the longest.
    ok = sum(round(each["throughput"] * each["elapsed"]) for each in reports)
    return {
        "elapsed": elapsed,
        "throughput": ok / elapsed if elapsed > 0 else 0.0,
        **{name: sum(each[name] for each in reports) for name in _ADDED if name in reports[0]},
        "statuses": _total(each["statuses"] for each in reports),
        **_latencies([each["histograms"] for each in reports]),
        "faults": _faults(each["faults"] for each in reports),
        "fatal": next((_fatal(*each["fatal"]) for each in reports if each["fatal"]), None),
        "longest_line": max(each["longest_line"] for each in reports),
        "accounts": _money((each["accounts"] for each in reports), accounts),
    }


def _latencies(packed: Sequence[Mapping[str, str]]) -> dict[str, dict[str, float]]:
    out = {}
    for name in packed[0]:
        merged = _core.Histogram()
        for each in packed:
            merged.merge(base64.b64decode(each[name]))
        out[name] = merged.summary()
    return out


def _faults(seen: Iterable[Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    out: dict[str, dict[str, Any]] = {}
    for faults in seen:
        for kind, each in faults.items():
            known = out.setdefault(kind, {"count": 0, "first": each["first"]})
            known["count"] += each["count"]
    return out


def _fatal(name: str, words: str) -> Exception:
    kind = getattr(_errors, name, _errors.Error)
    made: Exception = kind(words)
    return made


def _money(seen: Iterable[Sequence[tuple[int, Mapping[str, int]]]], accounts: int) -> list[dict[str, int]]:
    names = ("taken", "unknown", "taken_count", "unknown_count")
    out = [dict.fromkeys(names, 0) for _ in range(accounts)]
    for report in seen:
        for index, money in report:
            for name in names:
                out[index][name] += money[name]
    return out
