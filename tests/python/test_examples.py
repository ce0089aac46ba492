"""The programs in examples/ do what they say, on a private server."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from redislock import Client
from redislock._server import PrivateServer

EXAMPLES = Path(__file__).parents[2] / "examples"

# What each program prints. That of the greenlets depends on who wins which race.
PROGRAMS = {
    "threads.py": r"333 paid, 67 refused\nalice has 1\n(lua took 3, left \d+\n){2}",
    "asyncio_tasks.py": (
        r"50 answers, 1 of them the first, the others a replay of it\nalice has 97\non record: ok\n"
    ),
    "gevent_greenlets.py": r"64 paid, in \d+ attempts\nalice has 808\n",
    "sql_deadlock.py": (
        r"(?s)lock .*DEADLOCK: 2 owners wait for each other and would for ever\n"
        r".*waits for accounts (alice|bob), held by backend .*"
        r"refused one of them with 40P01; it came through in \d attempts\ntogether they hold 2000000\n"
    ),
    "test_shop.py": r"(?s).*\b4 passed\b.*",
    "test_payments.py": r"(?s).*\b3 passed\b.*",
}


@pytest.fixture(scope="module")
def server():
    with PrivateServer() as running:
        yield running


def run(*arguments, server):
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "REDIS_CONN": server.url, "KEY_PREFIX": "", "MAX_RETRIES": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_example_is_tested_here():
    assert {each.name for each in EXAMPLES.glob("*.py")} == {*PROGRAMS, "fastapi_app.py"}


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name, server):
    if "gevent" in name and importlib.util.find_spec("gevent") is None:
        pytest.skip("gevent is not installed")
    runner = ["-m", "pytest", "-q", "-p", "no:cacheprovider"] if name.startswith("test_") else []
    done = run(*runner, str(EXAMPLES / name), server=server)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(PROGRAMS[name], done.stdout), done.stdout
    assert done.stderr == ""


# --- the web application ------------------------------------------------------------------------


def load_app(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    sys.modules.pop("fastapi_app", None)
    import fastapi_app

    return fastapi_app.app


@pytest.fixture
def web(server, monkeypatch):
    testclient = pytest.importorskip("fastapi.testclient")
    monkeypatch.setenv("REDIS_CONN", server.url)
    with testclient.TestClient(load_app(monkeypatch)) as client:
        yield client


@pytest.fixture
def bank(server):
    """The same accounts, seen from beside the application."""
    with Client(server.url) as client:
        yield client


STRATEGIES = ["watch", "lua", "lock"]


def test_health_tells_that_the_server_is_reachable(web):
    said = web.get("/health")
    assert said.status_code == 200
    assert said.json()["reachable"] is True


def test_init_then_balance(web):
    assert web.post("/init", json={"user": "ann", "balance": 100}).json()["balance"] == 100
    said = web.get("/balance", params={"user": "ann"})
    assert (said.status_code, said.json()) == (200, {"balance": 100})


def test_balance_of_nobody_is_404(web):
    said = web.get("/balance", params={"user": "nobody"})
    assert said.status_code == 404
    assert "nobody" in said.json()["detail"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_withdraw(web, bank, strategy):
    bank.init("bob", 5)
    path = f"/withdraw_{strategy}"
    taken = web.post(path, json={"user": "bob", "amount": 3})
    assert (taken.status_code, taken.json()["status"]) == (200, "ok")
    refused = web.post(path, json={"user": "bob", "amount": 3})
    assert (refused.status_code, refused.json()["status"]) == (409, "insufficient")
    nobody = web.post(path, json={"user": "nobody", "amount": 3})
    assert (nobody.status_code, nobody.json()["status"]) == (404, "missing")
    assert bank.balance("bob") == 2


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_idempotency_key_of_the_header_is_used(web, bank, strategy):
    bank.init("eve", 10)
    headers = {"Idempotency-Key": f"order-{strategy}"}
    answers = [
        web.post(f"/withdraw_{strategy}", json={"user": "eve", "amount": 3}, headers=headers)
        for _ in range(3)
    ]
    assert [each.json()["replayed"] for each in answers] == [False, True, True]
    assert bank.balance("eve") == 7
    other = web.post(f"/withdraw_{strategy}", json={"user": "eve", "amount": 4}, headers=headers)
    assert other.status_code == 422
    assert bank.balance("eve") == 7


def test_a_held_lock_is_503_and_worth_another_try(web, bank, server):
    redis = pytest.importorskip("redis")
    bank.init("joe", 10)
    with redis.Redis.from_url(server.url) as other:
        other.set(bank.keys("joe")["lock"], "somebody else", px=60_000)
        said = web.post("/withdraw_lock", json={"user": "joe", "amount": 3})
        other.delete(bank.keys("joe")["lock"])
    assert (said.status_code, said.json()["status"]) == (503, "lock_busy")
    assert said.headers["Retry-After"] == "1"
    assert bank.balance("joe") == 10


@pytest.mark.parametrize(
    "body",
    [
        {"user": "ann", "amount": 0},
        {"user": "ann", "amount": -3},
        {"user": "ann", "amount": 3.5},
        {"user": "ann", "amount": "3"},
        {"user": "ann", "amount": True},
        {"user": "ann", "amount": 2**63},
        {"user": "", "amount": 3},
        {"user": "ann"},
    ],
)
def test_wrong_requests_are_422(web, bank, body):
    bank.init("ann", 100)
    assert web.post("/withdraw_lua", json=body).status_code == 422
    assert bank.balance("ann") == 100


def test_faults_have_codes_of_their_own(server, monkeypatch):
    testclient = pytest.importorskip("fastapi.testclient")
    redis = pytest.importorskip("redis")
    with redis.Redis.from_url(server.url) as other, Client(server.url) as bank:
        other.set(bank.keys("broken")["balance"], "12.5")
    monkeypatch.setenv("REDIS_CONN", server.url)
    with testclient.TestClient(load_app(monkeypatch)) as web:
        assert web.post("/withdraw_lua", json={"user": "broken", "amount": 1}).status_code == 500
    monkeypatch.setenv("REDIS_CONN", "unix:///nobody/listens/here")
    with testclient.TestClient(load_app(monkeypatch)) as web:
        assert web.get("/health").status_code == 503
        said = web.post("/withdraw_lua", json={"user": "ann", "amount": 3})
        assert said.status_code == 503
        assert "/nobody/listens/here" in said.json()["detail"]
