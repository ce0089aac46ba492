"""The functions of the package itself, and what the environment decides: address, prefix, retries."""

import inspect
import json
import subprocess
import sys

import pytest

import redislock

VARIABLES = ("REDIS_CONN", "KEY_PREFIX", "MAX_RETRIES")


def run(program, **env):
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": "/usr/bin:/bin", **env},
    )


EVERYTHING = """
import json, redislock
user = "alice"
told = {}
told["init"] = redislock.init(user, 100).balance
told["lua"] = redislock.withdraw_lua(user, 1, idempotency_key="k").balance
told["lock"] = redislock.withdraw_lock(user, 1, lock_wait=1).balance
told["watch"] = redislock.withdraw_watch(user, amount=1).balance
told["named"] = redislock.withdraw("lua", user, 1).balance
told["naive"] = redislock.withdraw_naive(user, 1).balance
told["deposit"] = redislock.deposit(user, 2).balance
told["deposit_naive"] = redislock.deposit_naive(user, 2).balance
told["balance"] = redislock.balance(user)
told["history"] = len(redislock.history(user))
told["outcome"] = redislock.outcome(user, "k").balance
told["reachable"] = bool(redislock.health())
told["keys"] = redislock.default_client().keys(user)
told["same"] = redislock.default_client() is redislock.default_client()
told["delete"] = redislock.delete(user).status
told["gone"] = redislock.balance(user)
print(json.dumps(told))
"""


def test_every_operation_is_a_function_of_the_package(server):
    done = run(EVERYTHING, REDIS_CONN=server.url, KEY_PREFIX="shop", MAX_RETRIES="3")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "init": 100,
        "lua": 99,
        "lock": 98,
        "watch": 97,
        "named": 96,
        "naive": 95,
        "deposit": 97,
        "deposit_naive": 99,
        "balance": 99,
        "history": 7,
        "outcome": 99,
        "reachable": True,
        "keys": {
            "balance": "shop:{alice}:balance",
            "history": "shop:{alice}:history",
            "lock": "shop:{alice}:lock",
            "once": "shop:{alice}:once:",
        },
        "same": True,
        "delete": "ok",
        "gone": None,
    }
    assert done.stderr == ""


def test_the_functions_look_like_the_methods():
    names = [name for name, each in vars(redislock.Client).items() if callable(each) and name[0] != "_"]
    for name in sorted({*names} - {"close", "keys", "from_url", "from_redis"}):
        function, method = getattr(redislock, name), getattr(redislock.Client, name)
        assert function.__doc__ == method.__doc__
        wanted = list(inspect.signature(method).parameters.values())[1:]
        assert list(inspect.signature(function).parameters.values()) == wanted
        assert inspect.iscoroutinefunction(getattr(redislock.asyncio.Client, name))
        wanted = inspect.signature(method).replace(return_annotation=None)
        same = inspect.signature(getattr(redislock.asyncio.Client, name)).replace(return_annotation=None)
        assert same == wanted


def test_the_bare_address_of_a_container_is_understood(server):
    done = run("import redislock; print(redislock.health().reachable)", REDIS_CONN=f"127.0.0.1:{server.port}")
    assert done.stdout == "True\n"


def test_without_an_address_it_is_localhost():
    done = run(
        "import redislock; print(redislock.default_client().url)",
        REDIS_CONN="",
        KEY_PREFIX="",
        MAX_RETRIES="",
    )
    assert done.stdout == "redis://localhost:6379/0\n"


def test_the_environment_counts_for_what_is_not_given(monkeypatch):
    monkeypatch.setenv("REDIS_CONN", "redis://from-environment:7000/1")
    monkeypatch.setenv("KEY_PREFIX", "environment")
    for make in [redislock.Client, redislock.asyncio.Client]:
        assert make().url == "redis://from-environment:7000/1"
        assert make("redis://given").url == "redis://given:6379/0"
        assert make(db=5).url == "redis://from-environment:7000/5"
        assert make().keys(7)["balance"] == "environment:{7}:balance"
        assert make(prefix="given").keys(7)["balance"] == "given:{7}:balance"
        assert make(prefix="").keys(7)["balance"] == "{7}:balance"


def test_max_retries_of_the_environment_counts(server):
    program = """
import asyncio, redislock.asyncio
async def use():
    async with redislock.asyncio.Client() as client:
        await client.init("hot", 100_000)
        for _ in range(100):
            results = await asyncio.gather(*(client.withdraw_watch("hot", 1) for _ in range(32)))
            lost = [each.attempts for each in results if each.status == "conflict"]
            if lost:
                return print(set(lost))
asyncio.run(use())
"""
    assert run(program, REDIS_CONN=server.url, MAX_RETRIES="0").stdout == "{1}\n"
    assert run(program, REDIS_CONN=server.url, MAX_RETRIES="1").stdout == "{2}\n"


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("REDIS_CONN", "http://host"),
        ("REDIS_CONN", "redis://bob:hunter2@host:port"),
        ("MAX_RETRIES", "many"),
        ("MAX_RETRIES", "-1"),
        ("MAX_RETRIES", "1.5"),
        ("MAX_RETRIES", "10000001"),
        ("KEY_PREFIX", "a{b}"),
    ],
)
def test_what_does_not_parse_names_its_variable(monkeypatch, name, wrong):
    for each in VARIABLES:
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, wrong)
    for make in [redislock.Client, redislock.asyncio.Client]:
        with pytest.raises(redislock.ConfigurationError, match=f"environment variable {name}") as caught:
            make()
        assert "hunter2" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert "hunter2" not in repr(
            caught.value.__context__ if not caught.value.__suppress_context__ else ""
        )


def test_importing_does_not_look_at_a_wrong_environment():
    done = run("import redislock; print('fine')", REDIS_CONN="http://host", MAX_RETRIES="many")
    assert (done.stdout, done.stderr) == ("fine\n", "")
