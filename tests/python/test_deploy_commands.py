"""The commands in deploy/ do what they are for: run as they stand, with the servers' addresses replaced."""

import contextlib
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from redislock import Client
from redislock._server import find_server

yaml = pytest.importorskip("yaml")

TOP = Path(__file__).parents[2]
(COMPOSE,) = yaml.safe_load_all((TOP / "deploy" / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
VALKEY = "redis://valkey:6379/0"
POSTGRES = "postgresql://redislock@postgres:5432/redislock"


def in_kubernetes(name):
    """Return the commands of a manifest's pods, with what Kubernetes fills in."""
    (made,) = yaml.safe_load_all((TOP / "deploy" / "kubernetes" / name).read_text(encoding="utf-8"))
    (container,) = made["spec"]["template"]["spec"]["containers"]
    count = made["spec"].get("completions", 1)
    return [
        [each.replace("$(REPLICA)", str(number)) for each in container["args"]] for number in range(count)
    ]


def start(command, **environment):
    """Start a command of the image."""
    programs = {"redislock": ["-m", "redislock"], "locust": ["-m", "locust"]}
    return subprocess.Popen(
        [sys.executable, *programs[command[0]], *command[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "KEY_PREFIX": "", "MAX_RETRIES": "", **environment},
        cwd=TOP,
    )


@pytest.fixture
def sale(start_server):
    """A server of its own, and a client on it."""
    server = start_server(port=0)
    with Client(server.url) as client:
        yield server.url, client


REPLICAS = {
    "compose": [each["command"] for name, each in SERVICES.items() if name.startswith("replica-")],
    "kubernetes": in_kubernetes("replicas.yaml"),
}
RELAY = {"compose": SERVICES["relay"]["command"], "kubernetes": in_kubernetes("relay.yaml")[0]}


@pytest.mark.parametrize("where", REPLICAS)
def test_three_replicas_sell_ten_lamps_and_the_relay_moves_them(where, sale, postgres):
    url, client = sale
    assert len(REPLICAS[where]) == 3
    selling = [start([url if word == VALKEY else word for word in each]) for each in REPLICAS[where]]
    told = [each.communicate(timeout=60)[0] for each in selling]
    assert [each.returncode for each in selling] == [0, 0, 0], told
    assert len(re.findall("order created", "".join(told))) == 10
    stock = client.stock("lamp")
    assert (stock.level(), stock.backlog()) == (0, 10)

    moving = start([postgres.url if word == POSTGRES else word for word in RELAY[where]], REDIS_CONN=url)
    give_up = time.monotonic() + 60
    while stock.backlog() and time.monotonic() < give_up and moving.poll() is None:
        time.sleep(0.02)
    moving.terminate()  # as `docker stop` and Kubernetes do
    said = moving.communicate(timeout=60)[0]
    assert moving.returncode == 0, said
    assert "10 moved in all" in said


def test_the_servers_options_are_known_and_taken(tmp_path):
    program = find_server().path
    command = SERVICES["valkey"]["command"]
    place = tmp_path / "valkey.sock"
    serving = subprocess.Popen(
        [program, *command[1:], "--port", "0", "--unixsocket", str(place), "--dir", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    )
    try:
        with redis.Redis(unix_socket_path=str(place), decode_responses=True) as server:
            give_up = time.monotonic() + 20
            while time.monotonic() < give_up:
                with contextlib.suppress(redis.ConnectionError):
                    if server.ping():
                        break
            told = server.config_get("append*", "maxmemory-policy")
    finally:
        serving.terminate()
        serving.wait()
    wanted = dict(zip(command[1::2], command[2::2], strict=True))
    assert {name: told[name.removeprefix("--")] for name in wanted} == wanted


@pytest.mark.parametrize("service", ["locust-master", "locust-worker"])
def test_locust_knows_the_file(service):
    command = SERVICES[service]["command"]
    place = command[command.index("-f") + 1]
    assert place.startswith("/srv/locust/")  # where the image has it
    listing = start(["locust", "-f", place.removeprefix("/srv/"), "--list"])
    said = listing.communicate(timeout=60)[0]
    assert listing.returncode == 0, said
    assert "Buyer" in said


def test_readme_names_services_and_files_that_exist():
    page = (TOP / "deploy" / "README.md").read_text(encoding="utf-8")
    for line in re.findall(r"^docker compose .*$", page, re.MULTILINE):
        words = shlex.split(line.split("#", maxsplit=1)[0])
        if "run" in words:
            service, *command = words[words.index("--rm") + 1 :]
            assert service in SERVICES
            helped = start([*command[:2], "--help"])
            said = helped.communicate(timeout=60)[0]
            assert helped.returncode == 0, said
        if "--profile" in words:
            wanted = words[words.index("--profile") + 1]
            assert any(wanted in each.get("profiles", []) for each in SERVICES.values())
    for path in re.findall(r"(?<![\w/])deploy/[\w/]+", page):
        assert (TOP / path).exists()
