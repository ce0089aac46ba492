"""The command line of stock: what it prints, on which stream, and with which exit code."""

import json
import re

import pytest
import redis

import redislock

pytest.importorskip("typer")
from typer.testing import CliRunner

from redislock.cli import app

OK, REFUSED, USAGE, FAULT = 0, 1, 2, 3


@pytest.fixture
def cli(server, user):
    """Run a command against the shared server; `SKU` stands for a stock of this test."""

    def run(*arguments, url=server.url):
        named = [user if each == "SKU" else each for each in arguments]
        env = {"REDIS_CONN": url, "KEY_PREFIX": None, "MAX_RETRIES": None}
        return CliRunner().invoke(app, named, env=env)

    return run


def test_setting_and_looking(cli, user):
    done = cli("stock", "set", "SKU", "10")
    assert (done.exit_code, done.stdout) == (OK, f"ok: 10 of {user} are to be had\n")
    assert json.loads(cli("stock", "set", "SKU", "3", "--if-missing", "--json").stdout)["level"] == 10
    assert cli("stock", "level", "SKU").stdout == "10\n"
    assert json.loads(cli("stock", "level", "SKU", "--json").stdout) == {"sku": user, "level": 10}


def test_no_stock(cli, user):
    done = cli("stock", "level", "SKU")
    assert (done.exit_code, done.stdout) == (REFUSED, "")
    assert done.stderr == (
        f"redislock: there is no stock of {user}; make one with: redislock stock set {user} N\n"
    )
    done = cli("stock", "level", "SKU", "--json")
    assert (done.exit_code, json.loads(done.stdout)) == (REFUSED, {"sku": user, "level": None})
    done = cli("order", "SKU")
    assert done.exit_code == REFUSED
    assert done.stdout.startswith("missing: there is no stock of ")


@pytest.mark.parametrize("strategy", ["lua", "lock", "watch", "naive"])
def test_orders(cli, user, strategy):
    cli("stock", "set", "SKU", "10")
    done = cli("order", "SKU", "--strategy", strategy)
    assert done.exit_code == OK
    assert re.fullmatch(rf"ok: order [0-9a-f]{{32}} of 1, 9 of {user} left \(1 attempt, .+s\)\n", done.stdout)
    buy = ["order", "SKU", "--qty", "2", "--user", "bob", "--limit", "3", "--strategy", strategy]
    result = json.loads(cli(*buy, "--order-id", "o1", "--json").stdout)
    assert result.pop("elapsed") > 0
    assert result == {
        "order_id": "o1",
        "status": "ok",
        "level": 7,
        "qty": 2,
        "state": "confirmed",
        "reason": None,
        "attempts": 1,
    }
    for arguments, words in [
        ([*buy, "--order-id", "o1"], "duplicate: order o1 is confirmed with 2, and 7 were left ("),
        (buy, "limit: the user would have more than --limit allows ("),
        (["order", "SKU", "-q", "8", "--strategy", strategy], f"sold_out: only 7 of {user} left ("),
    ]:
        done = cli(*arguments)
        assert done.exit_code == REFUSED
        assert done.stdout.startswith(words)


def test_what_is_to_be_tried_again(cli, user, server):
    cli("stock", "set", "SKU", "10")
    with redislock.Client(server.url) as client:
        key = client.stock(user).keys()["lock"]
        with redis.Redis.from_url(server.url) as raw:
            raw.set(key, "somebody else's")
    done = cli("order", "SKU", "--strategy", "lock")
    assert done.exit_code == REFUSED
    assert done.stdout.startswith("retry_later: nothing was taken (lock_busy); try again (")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["stock", "set", "SKU", "-1"], "must be a whole number from 0"),
        (["stock", "set", "SKU", "1000000000000000"], "must be a whole number from 0"),
        (["stock", "set", "", "1"], "must be 1 to 1024 bytes long"),
        (["order", "SKU", "--qty", "0"], "must be a whole number from 1"),
        (["order", "SKU", "--qty", "x"], "must be a whole number from 1"),
        (["order", "SKU", "--strategy", "magic"], "must be one of lua, lock, watch, naive"),
        (["order", "SKU", "--limit", "1"], "needs --user"),
        (["order", "SKU", "--user", ""], "must be 1 to 1024 bytes long"),
        (["order", "SKU", "--order-id", "x" * 1025], "must be 1 to 1024 bytes long"),
    ],
)
def test_usage(cli, arguments, words):
    done = cli(*arguments)
    assert (done.exit_code, done.stdout) == (USAGE, "")
    assert words in " ".join(done.stderr.replace("│", " ").split())


def test_faults(cli):
    done = cli("order", "SKU", url="redis://127.0.0.1:1")
    assert (done.exit_code, done.stdout) == (FAULT, "")
    assert done.stderr.startswith("redislock: ")


def test_help(cli):
    assert "redislock stock set tee 10" in cli("stock", "set", "--help").stdout
    assert "redislock order tee" in cli("order", "--help").stdout


def test_a_stock_in_a_database(tmp_path):
    url = f"sqlite:///{tmp_path}/shop.db"

    def run(*arguments):
        return CliRunner().invoke(app, ["stock", *arguments, "--url", url])

    missing = run("level", "tee")
    assert (missing.exit_code, missing.stdout) == (REFUSED, "")
    assert "there is no stock of tee" in missing.stderr
    assert (run("set", "tee", "10").exit_code, run("level", "tee").stdout) == (OK, "10\n")
    assert run("set", "tee", "3", "--if-missing", "--json").exit_code == OK
    assert json.loads(run("level", "tee", "--json").stdout) == {"sku": "tee", "level": 10}
    assert run("set", "tee", "-1").exit_code == USAGE
