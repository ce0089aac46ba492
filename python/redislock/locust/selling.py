"""The flash sale as a Locust scenario: a `SaleUser` sends one order a task, until all are sent."""

from __future__ import annotations

import secrets
import weakref
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from locust import task

import redislock
from redislock import ConfigurationError
from redislock.locust import course
from redislock.locust.measured import REQUEST_TYPE
from redislock.locust.outcomes import ERROR
from redislock.locust.run import run_of
from redislock.locust.user import RedisLockUser
from redislock.scenarios.sale_report import ReplicaReport, SaleReport
from redislock.scenarios.worlds import ON_REDIS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from locust.argument_parser import LocustArgumentParser
    from locust.env import Environment

__all__ = ["SaleUser", "add_sale_arguments", "listen"]

_NUMBERS: Final = {
    "stock": ("STOCK", 10, 0, "What there is to sell"),
    "orders": ("ORDERS", 40, 1, "How many orders are sent in all"),
    "per_user_limit": ("PER_USER_LIMIT", 0, 0, "How many each of half as many customers may have; 0: any"),
}
_MOST: Final = 10**15 - 1
_AGAIN: Final = "again"


def add_sale_arguments(parser: LocustArgumentParser, **_: object) -> None:
    """Declare the arguments; a listener for Locust's ``init_command_line_parser``."""
    known = ", ".join(ON_REDIS)
    parser.add_argument("--strategy", env_var="STRATEGY", type=str, default="lua", help=f"One of {known}")
    parser.add_argument("--sku", env_var="SKU", type=str, default="flash-sale", help="What is sold")
    for dest, (variable, default, _least, told) in _NUMBERS.items():
        name = "--" + dest.replace("_", "-")
        parser.add_argument(name, env_var=variable, type=str, default=str(default), help=told)


class SaleUser(RedisLockUser):
    """Sends the next order, again where nothing was decided."""

    abstract = True

    @classmethod
    def check_settings(cls, environment: Environment) -> None:
        """Refuse a strategy or a number that is none."""
        sale_of(environment).owner = cls
        super().check_settings(environment)

    @task
    def order(self) -> None:
        """Send one order; ends the user where none is left."""
        sale = sale_of(self.environment)
        number = sale.draw(self._shared.client)
        stock = self._shared.client.stock(sale.sku)
        who = str(number % max(1, sale.count // 2)) if sale.limit else None
        sale.do(self, lambda: self._order(stock, sale, number, who))

    def _order(self, stock: redislock.Stock, sale: Sale, number: int, who: str | None) -> str:
        name, begin = f"order_{sale.strategy}", perf_counter()
        answer, fault, word = None, None, ERROR
        try:
            answer = stock.order(
                1, f"{sale.run}-{number}", strategy=sale.strategy, user=who, limit=sale.limit or None
            )
            word = str(answer.status)
        except redislock.Error as error:
            fault = error
        seconds = perf_counter() - begin if answer is None else answer.elapsed
        run_of(self.environment).recorder.count(name, word, None if fault else seconds)
        self.environment.events.request.fire(
            request_type=REQUEST_TYPE,
            name=name,
            response_time=seconds * 1000,
            response_length=0,
            response=answer,
            context=self.context(),
            exception=fault,
        )
        if answer is not None and word == "retry_later" and answer.reason != "backlog":
            return _AGAIN
        return course.UNKNOWN if answer is None else word


class Sale(course.Course):
    """The sale, and what became of it."""

    name = "sale"
    again = (_AGAIN,)

    def __init__(self, environment: Environment) -> None:
        options = environment.parsed_options
        self.strategy = str(getattr(options, "strategy", None) or "lua")
        if self.strategy not in ON_REDIS:
            raise ConfigurationError(
                f"--strategy (STRATEGY) must be one of {', '.join(ON_REDIS)}, not {self.strategy!r}"
            )
        self.sku = str(getattr(options, "sku", None) or "flash-sale")
        self.stock, orders, self.limit = (_number(options, dest) for dest in _NUMBERS)
        self.run = secrets.token_hex(4)
        super().__init__(environment, orders)

    def open(self, client: redislock.Client) -> None:
        """Set the stock."""
        client.stock(self.sku).set(self.stock)

    def report(self, client: redislock.Client) -> tuple[bool, Iterable[str]]:
        """Hold what is left against what was sold."""
        words = dict(self.total)
        for word in self.again:
            words.pop(word, None)
        try:
            left, trouble = client.stock(self.sku).level(), ""
        except redislock.Error as error:
            left, trouble = None, str(error)
        report = SaleReport(
            strategy=self.strategy,
            stock=self.stock,
            orders=self.count,
            replicas=(ReplicaReport("locust", words),),
            left=left,
            elapsed=self.elapsed,
            logged=None,
            mode="none",
            trouble=trouble,
            interrupted=sum(words.values()) < self.count,
        )
        return report.held and not report.interrupted, report.lines()


def _number(options: Any, dest: str) -> int:
    variable, default, least, _ = _NUMBERS[dest]
    text = str(getattr(options, dest, None) or default).strip()
    if text.isascii() and text.isdigit() and least <= int(text[:20]) <= _MOST:
        return int(text)
    name = "--" + dest.replace("_", "-")
    raise ConfigurationError(
        f"{name} ({variable}) must be a whole number from {least} to {_MOST}, not {text!r}"
    )


_sales: weakref.WeakKeyDictionary[Any, Sale] = weakref.WeakKeyDictionary()


def sale_of(environment: Environment) -> Sale:
    """Return the sale of an environment; raises ConfigurationError for wrong arguments."""
    if environment not in _sales:
        _sales[environment] = Sale(environment)
    return _sales[environment]


def listen(environment: Environment, **_: object) -> None:
    """Take part in the runs of this process; a listener for Locust's ``init``."""
    course.listen(sale_of(environment))
