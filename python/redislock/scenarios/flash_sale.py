"""The flash sale: a few pieces, many orders, several processes that sell from one stock.

`run` starts the replicas as processes and the relay as a thread, hears what happens, and adds it all
up at the end: what is left, what was sold, what the database holds. It prints nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from redislock._crew import Crew, Member
from redislock._errors import ConfigurationError
from redislock.scenarios.counters import open_counter
from redislock.scenarios.replica import Job
from redislock.scenarios.sale_report import ReplicaReport, SaleReport
from redislock.scenarios.shelves import Sold
from redislock.scenarios.worlds import check_strategy, is_sql, require_sql

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from redislock.scenarios.counters import Mover

__all__ = ["MODES", "Progress", "Sale", "run"]

MODES: Final = ("outbox", "inside-lock", "none")
_SPREAD: Final = 0.005  # seconds over which a few orders begin: else one process would get all pieces
_HEAD_START: Final = 0.5  # seconds for the replica that is to die
_CONNECTIONS: Final = 128  # of all replicas to a SQL database, where each one is a process
_STEP: Final = 0.1  # seconds; Ctrl-C is seen in between
_MODULE: Final = "redislock.scenarios.replica"


@dataclasses.dataclass(frozen=True)
class Sale:
    """What is sold, by whom. Raises ConfigurationError for what makes no sense."""

    strategy: str
    stock: int = 10
    replicas: int = 3
    orders: int = 40
    sku: str = "flash-sale"
    limit: int | None = None
    """How many a user may have; then as many users as there are orders, halved, order in turn."""
    mode: str = "outbox"
    database: str | None = None
    """Where orders go; None: nowhere, they stay in the outbox."""
    backlog: int | None = None
    at_once: int = 64
    """Orders that one replica has under way at most."""
    crash_at: int = 0
    """The first replica dies right after that many of its orders were taken from the stock."""
    timeout: float = 30.0
    patience: float = 5.0
    """Seconds for orders to reach the database when all are sold."""
    tells: bool = True
    """Whether each order is told as it happens."""

    def check(self, url: str | None) -> None:
        """Raise ConfigurationError where it cannot work there."""
        check_strategy(self.strategy, url)
        if self.mode not in MODES:
            raise ConfigurationError(f"orders must be {', '.join(MODES)}, not {self.mode!r}")
        on_sql = is_sql(self.strategy, url)
        if on_sql and self.limit is not None:
            raise ConfigurationError("a limit for each user is kept on Redis: name lua, lock or watch")
        if on_sql and self.database is not None:
            raise ConfigurationError("the strategies of SQL keep orders in the database that they sell from")
        if self.mode == "inside-lock" and self.strategy != "lock":
            raise ConfigurationError("orders inside-lock are logged under a lock: name the strategy lock")
        if self.mode == "inside-lock" and self.database is None:
            raise ConfigurationError("orders inside-lock need a database to be logged in")
        if url is not None and url.startswith("memory:"):
            raise ConfigurationError("memory:// is inside of one process, and replicas are processes")
        if on_sql or self.database is not None:
            require_sql()

    def jobs(self, url: str | None, prefix: str | None, run: str) -> list[dict[str, Any]]:
        """Return what each replica is to do."""
        out, first = [], 0
        for index in range(self.replicas):
            mine = self.orders // self.replicas + (index < self.orders % self.replicas)
            job = self.job(str(index + 1), url, prefix, run, orders=mine, first=first)
            if index and self.crash_at:  # the first one gets so many pieces, and dies
                job = dataclasses.replace(job, crash_at=0, waits=_HEAD_START)
            out.append(dataclasses.asdict(job))
            first += mine
        return out

    def job(
        self, name: str, url: str | None, prefix: str | None, run: str, *, orders: int, first: int = 0
    ) -> Job:
        """Return what the replica of that name is to do."""
        return Job(
            name=name,
            run=run,
            url=url,
            prefix=prefix,
            sku=self.sku,
            strategy=self.strategy,
            orders=orders,
            first=first,
            at_once=self.at_once,
            connections=max(1, min(16, _CONNECTIONS // self.replicas)),
            users=0 if self.limit is None else max(1, self.orders // 2),
            limit=self.limit,
            mode=self.mode,
            database=self.database,
            backlog=self.backlog,
            crash_at=self.crash_at,
            tells=self.tells,
            spread=_SPREAD if self.tells else 0.0,
            timeout=self.timeout,
        )


class Progress(NamedTuple):
    """How far a sale has got."""

    done: int
    ok: int
    elapsed: float
    level: int | None
    backlog: int | None
    """Orders that are made and not in the database yet; None where none is to go there."""
    trouble: str
    """What keeps orders from reaching it at the moment."""


class _Replica(Member):
    """One replica as the parent sees it."""

    def __init__(
        self, job: Mapping[str, Any], news: threading.Event, on_sold: Callable[[str, Sold], object] | None
    ) -> None:
        self.name: str = job["name"]
        self.words: Counter[str] = Counter()
        self.level: int | None = None
        self._on_sold = on_sold
        super().__init__(_MODULE, job, news)

    def take_in(self, message: dict[str, Any]) -> None:
        """Note what was sold."""
        super().take_in(message)
        for each in message.get("sold", ()):
            sold = Sold(*each)
            self.words[sold.word] += 1
            if self._on_sold is not None:
                self._on_sold(self.name, sold)
        seen = message.get("snapshot") or message.get("report")
        if seen is not None:
            self.words = Counter(seen["words"])
            self.level = self.level if seen["level"] is None else seen["level"]

    def told(self) -> ReplicaReport:
        """Return what is known of it."""
        return ReplicaReport(
            name=self.name,
            words=dict(self.words),
            died=self.ended and self.report is None,
            error="" if self.report is None else self.report["error"],
        )


def run(
    sale: Sale,
    url: str | None = None,
    *,
    prefix: str | None = None,
    on_sold: Callable[[str, Sold], object] | None = None,
    on_progress: Callable[[Progress], object] | None = None,
) -> SaleReport:
    """Set the stock, sell, and add up.

    `url` names a Redis server, or a SQL database for its strategies. `on_sold` is called with the
    replica's name and what its order came to, for each order as it happens, where ``sale.tells``; from
    several threads, one call at a time. `on_progress` is called ten times a second. Ctrl-C ends the sale
    early, and the report says so. The stock is left as it is.
    """
    sale.check(url)
    name = secrets.token_hex(4)
    lock = threading.Lock()

    def told(replica: str, sold: Sold) -> None:
        if on_sold is not None:
            with lock:
                on_sold(replica, sold)

    def make(job: Mapping[str, Any], news: threading.Event) -> _Replica:
        return _Replica(job, news, told)

    with contextlib.ExitStack() as stack:
        counter = stack.enter_context(open_counter(sale, url, prefix))
        counter.prepare()
        mover = stack.enter_context(counter.moving())
        crew = Crew(make, sale.jobs(url, prefix, name), "flash sale", mortal=True)
        stack.callback(crew.close)
        interrupted = _sell(crew, mover, on_progress)
        elapsed = _elapsed(crew.members)
        told_all = tuple(each.told() for each in crew.members)
        books = counter.books(f"{name}-", mover, interrupted=interrupted)
    return SaleReport(
        strategy=sale.strategy,
        stock=sale.stock,
        orders=sale.orders,
        replicas=told_all,
        elapsed=elapsed,
        database=counter.database,
        mode=sale.mode,
        interrupted=interrupted,
        **books,
    )


def _sell(crew: Crew[_Replica], mover: Mover, on_progress: Callable[[Progress], object] | None) -> bool:
    """Drive the replicas to their end; True where Ctrl-C came first."""
    began, interrupted, going = time.monotonic(), False, True

    def step() -> bool:
        more = crew.step(_STEP)
        if on_progress is not None:
            on_progress(_progress(crew.members, time.monotonic() - began, mover))
        return more

    crew.start()
    while going:
        going, pressed = _until_ctrl_c(step)
        if pressed and interrupted:
            crew.abort()
            raise KeyboardInterrupt
        if pressed:
            crew.stop()
        interrupted |= pressed
    return interrupted


def _until_ctrl_c(step: Callable[[], bool]) -> tuple[bool, bool]:
    """Go a step; answer whether to go on, and whether Ctrl-C was pressed."""
    try:
        return step(), False
    except KeyboardInterrupt:
        return True, True


def _progress(members: Sequence[_Replica], elapsed: float, mover: Mover) -> Progress:
    levels = [each.level for each in members if each.level is not None]
    ok = sum(each.words["ok"] for each in members)
    return Progress(
        done=sum(sum(each.words.values()) for each in members),
        ok=ok,
        elapsed=elapsed,
        level=min(levels, default=None),
        backlog=None if mover.relay is None else max(0, ok - mover.relay.moved),
        trouble=mover.trouble,
    )


def _elapsed(members: Sequence[_Replica]) -> float:
    return max((each.report["elapsed"] for each in members if each.report is not None), default=0.0)
