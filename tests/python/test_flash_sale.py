"""The flash sale: several processes sell a few pieces to many, and it adds up."""

import dataclasses
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading

import pytest
from typer.testing import CliRunner

import redislock
from redislock import sql
from redislock.cli import app
from redislock.scenarios import flash_sale
from redislock.scenarios.flash_sale import Sale
from redislock.scenarios.orders import OrderBook
from redislock.scenarios.relay import Relay

SAFE = ["lua", "lock", "watch"]


@pytest.fixture(autouse=True)
def environment(monkeypatch, user):
    for name in ("REDIS_CONN", "MAX_RETRIES", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KEY_PREFIX", user)


@pytest.fixture
def database(tmp_path):
    return f"sqlite:///{tmp_path}/orders.db"


def run(*arguments):
    return CliRunner().invoke(app, ["flash-sale", *arguments], prog_name="redislock")


def command(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "redislock", "flash-sale", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def total(output):
    """Ok and failed, of the line that begins so."""
    (line,) = (each for each in output.splitlines() if each.startswith("total"))
    return [int(each) for each in line.split()[1:3]]


# ---- the sale


@pytest.mark.parametrize("strategy", SAFE)
def test_ten_pieces_go_to_ten_customers(server, database, strategy):
    told = []
    report = flash_sale.run(
        Sale(strategy, database=database),
        server.url,
        on_sold=lambda replica, sold: told.append((replica, sold)),
    )
    assert report, str(report)
    assert (report.ok, report.failed, report.left, report.logged, report.backlog) == (10, 30, 0, 10, 0)
    assert {each.name for each in report.replicas} == {"1", "2", "3"}
    assert len(told) == 40
    assert sorted(sold.left for _, sold in told if sold.word == "ok") == list(range(10))
    assert {sold.word for _, sold in told} == {"ok", "sold_out"}


@pytest.mark.parametrize("strategy", ["for_update", "version", "atomic", "serializable"])
def test_the_strategies_of_sql_sell_from_an_account(postgres, user, strategy):
    report = flash_sale.run(Sale(strategy, sku=f"{user}-{strategy}"), postgres.url)
    assert report, str(report)
    assert (report.ok, report.failed, report.left, report.logged) == (10, 30, 0, 10)


@pytest.mark.parametrize("place", ["server", "postgres"])
def test_naive_oversells(request, user, place):
    url = request.getfixturevalue(place).url
    report = flash_sale.run(Sale("naive", sku=user, mode="none"), url)
    assert not report
    assert report.ok > 10
    assert "OVERSOLD" in report.verdict()


def test_nobody_gets_more_than_the_limit_from_all_replicas_together(server, database, user):
    sale = Sale("lua", stock=30, limit=1, database=database, sku=user)
    report = flash_sale.run(sale, server.url)
    assert report
    assert (report.ok, report.left) == (20, 10)  # half as many users as orders
    assert sum(each.words.get("limit", 0) for each in report.replicas) == 20


def test_a_bigger_sale_shows_progress(server, database):
    seen = []
    sale = Sale("lua", stock=500, orders=20_000, tells=False, database=database)
    report = flash_sale.run(sale, server.url, on_progress=seen.append)
    assert report
    assert (report.ok, report.failed, report.logged) == (500, 19_500, 500)
    assert report.rate > 0
    assert seen[-1].done == 20_000


def test_an_order_that_was_taken_is_lost_where_its_replica_dies_inside_the_lock(server, database):
    sale = Sale("lock", mode="inside-lock", database=database, crash_at=2, replicas=1, orders=15)
    report = flash_sale.run(sale, server.url)
    assert not report
    assert report.lost == 1
    assert report.replicas[0].died
    assert report.logged == 1
    assert report.verdict() == "LOST: 1 left the stock and is in no order"


def test_the_first_of_several_replicas_dies_every_time(server, database):
    sale = Sale("lock", mode="inside-lock", database=database, crash_at=3)
    report = flash_sale.run(sale, server.url)
    assert [each.died for each in report.replicas] == [True, False, False]
    assert (bool(report), report.lost) == (False, 1)


def test_no_order_is_lost_where_its_replica_dies_with_the_outbox(server, database):
    sale = Sale("lock", database=database, crash_at=2, replicas=1, orders=15)
    report = flash_sale.run(sale, server.url)
    assert report.held
    assert report.replicas[0].died
    assert report.logged == report.taken >= 2


def test_inside_the_lock_all_orders_are_logged(server, database):
    report = flash_sale.run(Sale("lock", mode="inside-lock", database=database), server.url)
    assert report, str(report)
    assert (report.ok, report.failed, report.logged) == (10, 30, 10)


def test_selling_goes_on_while_the_database_is_down_and_the_backlog_is_told(server, user):
    with sql.PrivatePostgres(config={"synchronous_commit": "on"}) as database:

        def kill(seen):
            if seen.done:
                database.kill()

        sale = Sale("lua", stock=10**6, orders=20_000, tells=False, patience=0.5, sku=user)
        sale = dataclasses.replace(sale, database=database.url)
        report = flash_sale.run(sale, server.url, on_progress=kill)
        assert report.ok == 20_000
        assert not report
        assert report.logged is None
        assert 0 < report.backlog <= 20_000
        assert "PostgreSQL" in report.trouble
        database.start()
        with redislock.Client(server.url) as client, OrderBook(database.url) as book:
            assert Relay(client, user, book, idle=0.0).drain(threading.Event(), 30)
            assert book.count(user) == (20_000, 20_000)


@pytest.mark.parametrize(
    ("sale", "url", "why"),
    [
        (Sale("sql"), None, "must be lua, lock"),
        (Sale("lua", mode="post"), None, "orders must be outbox, inside-lock, none"),
        (Sale("lua", mode="inside-lock", database="sqlite:///x"), None, "name the strategy lock"),
        (Sale("lock", mode="inside-lock"), None, "need a database"),
        (Sale("lua"), "memory://", "replicas are processes"),
        (Sale("atomic", limit=1), None, "kept on Redis"),
        (Sale("atomic"), None, "needs a SQL database"),
    ],
)
def test_what_makes_no_sense_is_refused(sale, url, why):
    with pytest.raises(redislock.ConfigurationError, match=why):
        flash_sale.run(sale, url)


# ---- the command


def test_the_command_by_default():
    done = run("--strategy", "lua")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert "private" in lines[0]
    assert lines[1].startswith("orders go to SQLite")
    assert lines[2] == "flash sale by lua: 10 in stock; 40 orders at once, 3 replicas"
    told = lines[3:43]
    assert all(
        re.match(r"Replica [123]: (order created, stock left \d|out of stock)$", each) for each in told
    )
    assert sum("order created" in each for each in told) == 10
    assert total(done.stdout) == [10, 30]
    assert lines[-1].startswith("SUCCESS")


def test_the_command_with_naive(server):
    done = run("--strategy", "naive", "--url", server.url)
    assert done.exit_code == 1, done.output
    assert total(done.stdout)[0] > 10
    assert done.stdout.splitlines()[-1].startswith("FAIL: OVERSOLD")


def test_a_number_and_a_mode_of_orders_and_json(server, database):
    done = run(
        *("--strategy", "lock", "--url", server.url, "--database", database, "--json"),
        *("--orders", "12", "--orders", "inside-lock", "--stock", "4", "--replicas", "2"),
    )
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["ok"], found["failed"], found["logged"], found["mode"]) == (4, 8, 4, "inside-lock")
    assert len(found["replicas"]) == 2


def test_replicas_that_join_share_one_stock(server):
    joined = [command("--strategy", "lua", "--replica", name, "--join", server.url) for name in "AB"]
    said = [each.communicate(timeout=60) for each in joined]
    assert [each.returncode for each in joined] == [0, 0], said
    assert sum(total(out)[0] for out, _ in said) == 10
    assert sum(total(out)[1] for out, _ in said) == 70
    assert all(f"Replica {name}: " in out for name, (out, _) in zip("AB", said, strict=True))
    with redislock.Client(server.url) as client:
        assert client.stock("flash-sale").backlog() == 10  # for a relay


def test_ctrl_c_tells_what_was_sold_so_far(server, database):
    arguments = ["--orders", "5000000", "--stock", "5000000", "--url", server.url, "--database", database]
    with command("--strategy", "lua", *arguments) as running:
        for line in running.stdout:
            if " a second" in line:
                break
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert running.returncode == 130, out + err
    assert "ended early by Ctrl-C after " in out
    ok, failed = total(out)
    assert ok > 0
    assert failed == 0
    assert "Traceback" not in err


def test_keep_tells_how_to_reach_both():
    with command("--strategy", "lua", "--keep", "--database", "postgres") as running:
        out, err = running.communicate(timeout=60)
    lines = [line.strip() for line in out.splitlines()]
    kept = lines[lines.index("kept running; reach and stop it with:") + 1 :]
    stops = [line.split() for line in kept if line.startswith("kill")]
    try:
        assert running.returncode == 0, err
        assert any("-cli -s " in line for line in kept)
        (psql,) = (line for line in kept if "psql" in line)
        with OrderBook(shlex.split(psql)[1]) as book:
            assert book.count("flash-sale") == (10, 10)
    finally:
        for words in stops:
            os.kill(int(words[-1]), signal.SIGINT if "-INT" in words else signal.SIGTERM)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "'--strategy': is missing"),
        (["--strategy", "lua", "--stock", "-1"], "must be a whole number from 0"),
        (["--strategy", "lua", "--replicas", "0"], "must be a whole number from 1 to 64"),
        (["--strategy", "lua", "--orders", "0"], "must be a whole number from 1"),
        (["--strategy", "lua", "--orders", "x"], "or one of outbox, inside-lock, none, not 'x'"),
        (["--strategy", "lua", "--url", "memory://"], "'--url': memory:// is inside of one process"),
        (["--strategy", "lua", "--orders", "inside-lock"], "name the strategy lock"),
        (["--strategy", "atomic", "--per-user-limit", "1"], "'--per-user-limit': a limit for each user"),
        (["--strategy", "lua", "--replica", "A"], "'--replica': and --join go together"),
        (["--strategy", "lua", "--per-user-limit", "0"], "must be a whole number from 1"),
    ],
)
def test_bad_input_gets_one_sentence(arguments, why):
    done = run(*arguments)
    assert done.exit_code == 2, done.output
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("redislock: ")
    assert why in line
    assert done.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--strategy", "lua", "--url", "redis://127.0.0.1:1"],
        ["--strategy", "atomic", "--url", "postgresql://127.0.0.1:1/x"],
        ["--strategy", "lua", "--replica", "A", "--join", "redis://127.0.0.1:1"],
    ],
)
def test_an_unreachable_server_is_a_fault(arguments):
    done = run(*arguments)
    assert done.exit_code == 3, done.output
    assert "cannot connect" in done.stderr
    assert "Traceback" not in done.stderr
