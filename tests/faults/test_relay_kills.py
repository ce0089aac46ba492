"""Orders reach the database exactly once: relay, database or Redis is killed at 20 seeded points.

Scenario: customers order from four threads, each order again under its id until it is answered; a relay
in a process of its own moves what was sold. One of the three is killed and started again. At the end
stock and orders add up, and the orders in the database are those that customers were told of.
"""

import random
import subprocess
import sys
import threading
import time

import pytest

import redislock
import redislock.testing
from redislock import sql
from redislock.scenarios.orders import OrderBook
from redislock.scenarios.relay import Relay

STOCK, ORDERS = 60, 72
POINTS = 20

# A relay that may kill itself, by SIGKILL, before or after one of its steps.
PROGRAM = """
import os, signal, sys, threading
import redislock
import redislock.testing
from redislock.scenarios.orders import OrderBook
from redislock.scenarios.relay import Relay

url, database, sku, batch, point, nth = sys.argv[1:]

class Mortal(Relay):
    passed = 0

    def die_at(self, here):
        if here == point:
            self.passed += 1
            if self.passed == int(nth):
                os.kill(os.getpid(), signal.SIGKILL)

    def log(self, entries):
        self.die_at("read")
        logged = super().log(entries)
        self.die_at("committed")
        return logged

    def clear(self, entries):
        super().clear(entries)
        self.die_at("cleared")

with redislock.Client(url, timeout=5.0) as client, OrderBook(database, timeout=5.0) as book:
    print("ready", flush=True)
    Mortal(client, sku, book, batch=int(batch), idle=0.1).run(threading.Event())
"""


@pytest.fixture(scope="module")
def redis_server():
    with redislock.testing.PrivateServer(config={"appendonly": "yes", "appendfsync": "always"}) as running:
        yield running


@pytest.fixture(scope="module")
def database():
    # What is committed outlives the process, which is what is killed here; the disk would only cost time.
    with sql.PrivatePostgres(config={"synchronous_commit": "on"}) as running:
        with sql.Client(running.url) as client:
            client.migrate()
        yield running


class Customers:
    """Orders from several threads; each is sent again under its id until it is answered."""

    def __init__(self, url, sku):
        self.told = {}
        self._url, self._sku = url, sku
        self._left = iter(range(ORDERS))
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._shop) for _ in range(4)]
        for each in self._threads:
            each.start()

    def _shop(self):
        with redislock.Client(self._url, timeout=2.0) as client:
            stock = client.stock(self._sku)
            while True:
                with self._lock:
                    number = next(self._left, None)
                if number is None:
                    return
                order_id = f"{self._sku}-{number}"
                self.told[order_id] = self._order(stock, order_id)
                time.sleep(0.001)

    def _order(self, stock, order_id):
        while (status := self._try(stock, order_id)) is None:
            time.sleep(0.01)
        return "ok" if status == "duplicate" else status

    @staticmethod
    def _try(stock, order_id):
        try:
            return str(stock.order(1, order_id).status)
        except (redislock.ConnectionError, redislock.OutcomeUnknownError, redislock.TimeoutError):
            return None

    def await_orders(self, count):
        give_up = time.monotonic() + 30
        while len(self.told) < count:
            assert time.monotonic() < give_up
            time.sleep(0.0005)

    def finish(self):
        for each in self._threads:
            each.join(30)
            assert not each.is_alive()
        return self.told


@pytest.fixture
def start_relay():
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for each in started:
        each.kill()
        each.communicate()


@pytest.mark.parametrize("seed", range(POINTS))
def test_stock_and_orders_add_up(seed, redis_server, database, start_relay, tmp_path):
    chance = random.Random(seed)
    victim = ("relay", "redis", "database")[seed % 3]
    sku = f"kill-{seed}"
    # A SQLite file dies with the process that writes it, which is the relay.
    on_sqlite = victim != "database" and chance.random() < 0.5
    where = f"sqlite:///{tmp_path}/orders.db" if on_sqlite else database.url
    with redislock.Client(redis_server.url, timeout=10.0) as client, OrderBook(where, timeout=10.0) as book:
        book.prepare()
        client.stock(sku).set(STOCK)
        point = chance.choice(["read", "committed", "cleared"]) if victim == "relay" else "never"
        batch = chance.randint(1, 8)
        relay = start_relay(redis_server.url, where, sku, batch, point, chance.randint(1, 5))
        customers = Customers(redis_server.url, sku)
        if victim == "relay":
            relay.wait(30)  # it does it itself
        else:
            customers.await_orders(chance.randint(1, STOCK - 10))
            time.sleep(chance.uniform(0, 0.003))
            killed = redis_server if victim == "redis" else database
            killed.kill()
            time.sleep(chance.uniform(0, 0.05))
            killed.start()
        start_relay(redis_server.url, where, sku, batch, "never", 0)
        told = customers.finish()
        last = Relay(client, sku, book, idle=0.1)
        assert last.drain(threading.Event(), 20), last.trouble
        orders, items = book.count(sku)
        assert client.stock(sku).level() + items == STOCK
        assert orders == items == STOCK
        sold = {order_id for order_id, word in told.items() if word == "ok"}
        assert len(sold) == STOCK
        assert set(told.values()) == {"ok", "sold_out"}
