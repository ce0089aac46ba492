"""The relay: orders go from the outbox into a database, each once."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from typer.testing import CliRunner

import redislock
from redislock import sql
from redislock.cli import app
from redislock.scenarios.orders import OrderBook
from redislock.scenarios.relay import Relay

NEVER = threading.Event()


@pytest.fixture(params=["sqlite", "postgresql"])
def book(request, tmp_path):
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/orders.db"
    else:
        url = request.getfixturevalue("postgres").url
    with OrderBook(url) as opened:
        opened.prepare()
        yield opened


@pytest.fixture
def shop(server):
    with redislock.Client(server.url) as client:
        yield client


def sell(shop, sku, count, begins=""):
    stock = shop.stock(sku)
    stock.set(count)
    for number in range(count):
        assert stock.order(1, f"{begins or sku}-{number}", user=number % 3 or None)


def test_orders_move_once_and_leave_the_outbox(shop, book, user):
    sell(shop, user, 25)
    relay = Relay(shop, user, book, batch=10)
    assert [relay.step() for _ in range(4)] == [10, 10, 5, 0]
    assert (relay.moved, relay.again, relay.backlog()) == (25, 0, 0)
    assert book.count(user) == (25, 25)
    assert book.count(user, f"{user}-1") == (11, 11)  # 1, and 10 to 19


def test_any_text_can_be_moved(shop, book, user):
    shop.stock(user).set(9)
    for number, text in enumerate(["a\0b", "\\u0000", "😀", "'\"{}"]):
        assert shop.stock(user).order(1, f"{user}-{number}{text}", user=text)
    assert Relay(shop, user, book).drain(NEVER, 10)
    assert book.count(user) == (4, 4)


def test_what_the_row_holds(shop, tmp_path, user):
    url = f"sqlite:///{tmp_path}/orders.db"
    with OrderBook(url) as book:
        book.prepare()
        before = time.time_ns() // 1_000_000
        shop.stock(user).set(5)
        shop.stock(user).order(2, "one", user="al\0ice 😀")
        relay = Relay(shop, user, book)
        relay.step()
    import sqlite3

    rows = sqlite3.connect(tmp_path / "orders.db").execute(
        "SELECT order_id, sku, qty, user_id, status, created_at, stream_id FROM orders"
    )
    [(order_id, sku, qty, who, status, created, stream_id)] = rows.fetchall()
    rows.connection.close()
    assert (order_id, sku, qty, who, status) == ("one", user, 2, "al\\0ice 😀", "ordered")
    assert before - 1000 <= created <= time.time_ns() // 1_000_000 + 1000
    assert 0 <= int(stream_id.split("-")[0]) - created < 1000


def test_orders_that_were_logged_and_not_acknowledged_are_moved_again_and_stand_once(shop, book, user):
    sell(shop, user, 7)

    class Dies(Relay):
        def clear(self, entries):
            raise redislock.ConnectionError("cut")

    with pytest.raises(redislock.ConnectionError):
        Dies(shop, user, book).step()
    assert book.count(user) == (7, 7)
    other = Relay(shop, user, book, idle=0.0)
    assert other.drain(NEVER, 10)
    assert (other.moved, other.again) == (0, 7)
    assert book.count(user) == (7, 7)


def test_what_another_relay_has_under_way_is_left_to_it_for_a_while(shop, book, user):
    sell(shop, user, 3)

    class Dies(Relay):
        def log(self, entries):
            raise redislock.ConnectionError("cut")

    with pytest.raises(redislock.ConnectionError):
        Dies(shop, user, book).step()
    assert not Relay(shop, user, book, idle=60.0).drain(NEVER, 0.2)
    assert Relay(shop, user, book, idle=0.1).drain(NEVER, 10)
    assert book.count(user) == (3, 3)


def test_several_relays_share_the_work(shop, book, user):
    sell(shop, user, 60)
    relays = [Relay(shop, user, book, batch=4) for _ in range(3)]
    stop = threading.Event()
    threads = [threading.Thread(target=each.run, args=[stop]) for each in relays]
    for each in threads:
        each.start()
    give_up = time.monotonic() + 30
    while relays[0].backlog() and time.monotonic() < give_up:
        time.sleep(0.01)
    stop.set()
    for each in threads:
        each.join()
    assert book.count(user) == (60, 60)
    assert sum(each.moved for each in relays) == 60


def test_while_the_database_is_down_selling_goes_on_and_a_bound_refuses(shop, user):
    with (
        sql.PrivatePostgres(config={"synchronous_commit": "on"}) as database,
        OrderBook(database.url, timeout=1.0) as book,
    ):
        book.prepare()
        relay, stop = Relay(shop, user, book), threading.Event()
        thread = threading.Thread(target=relay.run, args=[stop])
        thread.start()
        try:
            database.kill()
            stock = shop.stock(user, backlog=5)
            stock.set(10)
            answers = [stock.order(1, f"{user}-{number}") for number in range(7)]
            assert [str(each.status) for each in answers] == ["ok"] * 5 + ["retry_later"] * 2
            assert answers[-1].reason == "backlog"
            give_up = time.monotonic() + 20
            while not relay.trouble and time.monotonic() < give_up:
                time.sleep(0.01)
            assert relay.trouble
            assert relay.backlog() == 5
            database.start()
            while relay.backlog() and time.monotonic() < give_up:
                time.sleep(0.01)
            assert stock.order(1, f"{user}-9")
        finally:
            stop.set()
            thread.join()
        assert relay.drain(NEVER, 10)
        assert book.count(user) == (6, 6)
        assert stock.level() == 4


def test_a_database_without_tables_is_no_trouble_that_passes(shop, tmp_path, user):
    import sqlite3

    sqlite3.connect(tmp_path / "orders.db").close()
    sell(shop, user, 1)
    with OrderBook(f"sqlite:///{tmp_path}/orders.db") as book:
        with pytest.raises(redislock.SchemaError, match="no tables"):
            Relay(shop, user, book).run(NEVER)
        book.prepare()
        assert Relay(shop, user, book, idle=0.0).drain(NEVER, 10)


NO_ORDERS = [
    {"order_id": "bad", "sku": "x", "qty": "abc", "at": "5"},
    {"order_id": "bad", "sku": "x", "qty": "0", "at": "5"},
    {"order_id": "bad", "sku": "x", "qty": "-3", "at": "5"},
    {"order_id": "bad", "sku": "x", "qty": str(2**70), "at": "5"},
    {"order_id": "", "sku": "x", "qty": "1", "at": "5"},
    {"something": "else"},
]


def test_what_is_no_order_holds_up_no_other(shop, raw, book, user):
    key = f"redislock:{{{user}}}:outbox"
    for each in NO_ORDERS:
        raw.xadd(key, each)
    sell(shop, user, 5)
    relay = Relay(shop, user, book)
    assert relay.drain(NEVER, 10)
    assert (relay.moved, relay.again, relay.refused) == (5, 0, len(NO_ORDERS))
    assert book.count(user) == (5, 5)
    kept = [fields for _, fields in raw.xrange(f"{key}:refused")]
    assert [
        {name: each[name] for name in given} for each, given in zip(kept, NO_ORDERS, strict=True)
    ] == NO_ORDERS
    assert all(each["why"] == "it is no order" and each["stream_id"] for each in kept)


def test_another_order_of_the_same_id_is_told_and_not_dropped(shop, raw, book, user):
    other = f"{user}-other"
    for sku in (user, other):
        shop.stock(sku).set(5)
        assert shop.stock(sku).order(1, f"{user}-17")
        assert shop.stock(sku).order(1, f"{sku}-18")
    first, second = Relay(shop, user, book), Relay(shop, other, book)
    assert first.drain(NEVER, 10)
    assert second.drain(NEVER, 10)
    assert (first.moved, first.refused, second.moved, second.refused, second.again) == (2, 0, 1, 1, 0)
    [(_, kept)] = raw.xrange(f"redislock:{{{other}}}:outbox:refused")
    assert kept["order_id"] == f"{user}-17"
    assert "another order" in kept["why"]


def test_what_was_deleted_and_not_acknowledged_is_nothing(shop, raw, book, user):
    sell(shop, user, 3)
    relay = Relay(shop, user, book)
    entries = relay._read()
    assert relay.log(entries) == entries
    raw.xdel(f"redislock:{{{user}}}:outbox", *[each[0] for each in entries])  # and then it died
    later = Relay(shop, user, book, idle=0.0)
    assert later.drain(NEVER, 10)
    assert (later.moved, later.again, book.count(user)) == (0, 0, (3, 3))


def test_the_command_says_what_it_set_aside(shop, raw, server, command, tmp_path, user):
    raw.xadd(f"redislock:{{{user}}}:outbox", {"order_id": "bad"})
    sell(shop, user, 2)
    ended = command(user, "--database", f"sqlite:///{tmp_path}/o.db", "--url", server.url, "--once")
    assert ended.exit_code == 1
    assert "2 moved in all, 1 set aside" in ended.stdout
    assert f"redislock:{{{user}}}:outbox:refused" in ended.stderr


def test_a_group_that_is_gone_is_made_again(shop, raw, book, user):
    relay = Relay(shop, user, book)
    sell(shop, user, 2)
    assert relay.step() == 2
    raw.delete(shop.stock(user).keys()["outbox"])
    sell(shop, user, 2, begins=f"{user}-second")
    assert relay.drain(NEVER, 10)
    assert book.count(user) == (4, 4)


def test_a_server_that_speaks_the_older_protocol(start_server, tmp_path, user):
    server = start_server(config={"rename-command": 'HELLO ""'})
    with (
        redislock.Client(server.url) as shop,
        OrderBook(f"sqlite:///{tmp_path}/orders.db") as book,
    ):
        book.prepare()
        sell(shop, user, 5)
        relay = Relay(shop, user, book, batch=2)
        assert relay.drain(NEVER, 10)
        assert (relay.moved, book.count(user)) == (5, (5, 5))


# ---- the command


@pytest.fixture
def command(server, monkeypatch):
    for name in ("REDIS_CONN", "KEY_PREFIX", "MAX_RETRIES"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments):
        return CliRunner().invoke(app, ["relay", *arguments], prog_name="redislock")

    return run


def test_the_command_moves_what_is_there_and_ends(shop, server, command, tmp_path, user):
    sell(shop, user, 12)
    database = f"sqlite:///{tmp_path}/orders.db"
    done = command(user, "--url", server.url, "--database", database, "--once")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == "12 moved in all"
    with OrderBook(database) as book:
        assert book.count(user) == (12, 12)


def test_ctrl_c_is_its_regular_end(shop, server, tmp_path, user):
    sell(shop, user, 5)
    database = f"sqlite:///{tmp_path}/orders.db"
    arguments = ["relay", user, "--url", server.url, "--database", database]
    with subprocess.Popen(
        [sys.executable, "-m", "redislock", *arguments],
        env={name: value for name, value in os.environ.items() if name != "KEY_PREFIX"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        running.stdout.readline()
        assert running.stdout.readline() == "5 moved\n"
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=20)
    assert (running.returncode, out, err) == (0, "5 moved in all\n", "")


@pytest.mark.parametrize(
    ("arguments", "why", "code"),
    [
        (["x"], "'--database': is missing", 2),
        (["x", "--database", "mysql://x"], "a database is named by its URL", 2),
        (["x", "--database", "sqlite:///x.db", "--batch", "0"], "must be a whole number from 1", 2),
        (["x", "--database", "sqlite:////nowhere/x.db"], "cannot open the SQLite file", 3),
        (["x", "--database", "postgresql://127.0.0.1:1/x"], "cannot connect to PostgreSQL", 3),
        (["x", "--database", "sqlite:///{tmp}/x.db", "--url", "redis://127.0.0.1:1", "--once"], "connect", 3),
        ([], "missing argument 'SKU'", 2),
    ],
)
def test_bad_input_gets_one_sentence(command, tmp_path, arguments, why, code):
    done = command(*[each.replace("{tmp}", str(tmp_path)) for each in arguments], "--timeout", "1")
    assert done.exit_code == code, done.output
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("redislock: ")
    assert why in lines[0].lower() or why in lines[0]
