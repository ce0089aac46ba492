"""What a server says of itself, and the warnings about settings that endanger money."""

import asyncio
import json
import socket
import threading

import pytest

import redislock
import redislock.asyncio


def ask(url, **options):
    with redislock.Client(url, **options) as client:
        return client.health(timeout=2)


def test_of_the_backends(client, kind):
    report = client.health()
    assert report
    assert report.reachable
    assert 0 < report.latency < 2
    assert report.version
    assert report.error == ""
    assert report.server
    if kind[1] == "server":
        assert report.server in ("redis", "valkey")
        assert report.role == "master"
    told = report.as_dict()
    assert json.loads(json.dumps(told)) == told
    assert set(told) == {"reachable", "latency", "server", "version", "role", "warnings", "error", "details"}
    assert repr(report).startswith("Health(reachable=True, ")


def test_a_server_that_forgets_everything_is_warned_of(server):
    [warning] = ask(server.url).warnings
    assert "persistence" in warning


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"appendonly": "yes"}, []),
        ({"appendonly": "yes", "maxmemory": "100mb", "maxmemory-policy": "noeviction"}, []),
        ({"appendonly": "yes", "maxmemory-policy": "allkeys-lru"}, []),
        ({"appendonly": "yes", "maxmemory": "100mb", "maxmemory-policy": "allkeys-lru"}, ["evicted"]),
        ({"appendonly": "yes", "maxmemory": "100mb", "maxmemory-policy": "volatile-ttl"}, ["evicted"]),
        ({"save": "900 1"}, ["append-only"]),
        ({}, ["persistence"]),
    ],
)
def test_settings_that_endanger_money(start_server, config, words):
    report = ask(start_server(config=config).url)
    assert len(report.warnings) == len(words)
    for warning, word in zip(report.warnings, words, strict=True):
        assert word in warning
    assert report.details["maxmemory_policy"] == config.get("maxmemory-policy", "noeviction")


def test_a_replica_is_warned_of(server, start_server):
    replica = start_server(config={"replicaof": f"127.0.0.1 {server.port}", "appendonly": "yes"})
    report = ask(replica.url)
    assert report.reachable
    assert report.role == "slave"
    assert any("replica" in each or "slave" in each for each in report.warnings)


def test_a_server_that_cannot_be_reached_is_a_report_too():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    report = ask(f"redis://bob:hunter2@127.0.0.1:{port}")
    assert not report
    assert f"127.0.0.1:{port}" in report.error
    assert "hunter2" not in repr(report)
    assert report.latency == 0
    assert report.warnings == []
    assert "no-such-host.invalid" in ask("redis://no-such-host.invalid").error

    async def use():
        async with redislock.asyncio.Client(f"redis://127.0.0.1:{port}") as client:
            return await client.health()

    assert not asyncio.run(use())


def test_a_wrong_password_is_told(start_server):
    guarded = start_server(port=0, config={"requirepass": "secret"})
    report = ask(guarded.url, password="hunter2")
    assert not report
    assert "password" in report.error
    assert "hunter2" not in report.error
    assert ask(guarded.url, password="secret")
    assert not ask(guarded.url)


def test_rights_that_are_lacking_are_told(start_server):
    limited = start_server(
        port=0,
        config={"user": ["default on nopass ~* &* +@all -info", "mute on nopass ~* &* +@all -ping"]},
    )
    report = ask(limited.url)
    assert report.reachable
    assert any("INFO" in each for each in report.warnings)
    report = ask(limited.url, username="mute", password="x")
    assert not report
    assert "ping" in report.error


def test_something_that_is_no_server_is_told():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def answer():
            line, _ = listening.accept()
            with line:
                line.recv(4096)
                line.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                line.recv(4096)

        web = threading.Thread(target=answer)
        web.start()
        report = ask(f"redis://127.0.0.1:{listening.getsockname()[1]}")
        web.join()
    assert not report
    assert "protocol" in report.error
