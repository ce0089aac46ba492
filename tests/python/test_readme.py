"""README and docs keep their word: every snippet runs, every link leads somewhere."""

import importlib.util
import json
import os
import re
import runpy
import subprocess
import sys
import sysconfig
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import redislock
from redislock import Client, _race, load
from redislock._server import PrivateServer

TOP = Path(__file__).parents[2]
README = (TOP / "README.md").read_text(encoding="utf-8")
GUARANTEES = (TOP / "docs" / "guarantees.md").read_text(encoding="utf-8")
PAGES = [
    TOP / "README.md",
    TOP / "CHANGELOG.md",
    TOP / "CONTRIBUTING.md",
    *TOP.glob("docs/**/*.md"),
    TOP / "deploy" / "README.md",
]


def blocks(text, language):
    """Return the fenced blocks of a language, each with the heading that it stands under."""
    found, heading = [], ""
    for title, body in re.findall(
        rf"^#+ ([^\n]+)$|^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL
    ):
        if title:
            heading = title
        else:
            found.append((heading, body))
    return found


SNIPPETS = dict(blocks(README, "python"))


@pytest.fixture
def server():
    with PrivateServer() as running:
        yield running


@pytest.fixture
def start(server, tmp_path):
    """Start programs of the environment, where they find the private server; end what still runs."""
    started = []

    def start(*command):
        program = subprocess.Popen(
            command,
            env={
                **os.environ,
                "PATH": f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}",
                "REDIS_CONN": server.url,
                "KEY_PREFIX": "",
                "MAX_RETRIES": "",
            },
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(program)
        return program

    yield start
    for each in started:
        each.kill()
        each.communicate()


@pytest.fixture
def run(start):
    """Run a program to its end, which must be a good one, and return what it printed."""

    def run(*command):
        program = start(*command)
        said = program.communicate(timeout=90)[0]
        assert program.returncode == 0, said
        return said

    return run


def needs(package):
    """Skip where a package is missing. Not imported: Locust would patch this process with gevent."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


def written(folder, heading):
    path = folder / "snippet.py"
    path.write_text(SNIPPETS[heading], encoding="utf-8")
    return str(path)


# --- README's snippets ----------------------------------------------------------------------------


def test_each_heading_has_one_snippet_and_a_test_here():
    assert len(SNIPPETS) == len(blocks(README, "python"))
    tested = {"Threads", "asyncio, with FastAPI", "gevent", "Locust", "pytest", "pytest, under load"}
    assert set(SNIPPETS) == tested | {"When the connection breaks", "Selling stock", "Locks"}


def test_snippets_are_short():
    for heading, body in SNIPPETS.items():
        code = [line for line in body.splitlines() if line.strip()]
        assert len(code) <= 12, heading


def test_threads(run, tmp_path):
    promised = re.search(r"# (\d+ paid, \d+ left)", SNIPPETS["Threads"])[1]
    assert run(sys.executable, written(tmp_path, "Threads")) == f"{promised}\n"


def test_fastapi(server, monkeypatch):
    testclient = pytest.importorskip("fastapi.testclient")
    monkeypatch.setenv("REDIS_CONN", server.url)
    names = {}
    exec(SNIPPETS["asyncio, with FastAPI"], names)
    with Client() as client, testclient.TestClient(names["app"]) as web:
        client.init("alice", 5)
        assert [web.post("/buy/alice").json()["status"] for _ in range(2)] == ["ok", "insufficient"]


def test_gevent(run, tmp_path):
    needs("gevent")
    said = run(sys.executable, written(tmp_path, "gevent"))
    assert re.fullmatch(r"\d+ attempts for 64 withdrawals\n", said)
    assert int(said.split()[0]) >= 64


def test_locust(start, server, tmp_path):
    needs("locust")
    locust = [sys.executable, "-m", "locust", "-f", written(tmp_path, "Locust"), "--headless"]
    buyers = start(*locust, "-u", "4", "-r", "4")
    give_up = time.monotonic() + 60
    with Client(server.url) as client:
        while (client.balance("bob") or 1_000_000) == 1_000_000 and time.monotonic() < give_up:
            time.sleep(0.05)
    buyers.terminate()
    said = buyers.communicate(timeout=30)[0]
    assert buyers.returncode == 0, said
    assert "withdraw_watch" in said


def test_pytest(run, tmp_path):
    said = run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", written(tmp_path, "pytest"))
    assert "1 passed" in said


def test_pytest_under_load(run, tmp_path):
    snippet = written(tmp_path, "pytest, under load")
    assert "2 passed" in run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", snippet)


def test_snippets_about_testing_run(run, tmp_path):
    """All of them together are a suite; those that are meant to fail say which message they give."""
    code = "".join(body for _, body in blocks((TOP / "docs" / "testing.md").read_text("utf-8"), "python"))
    (tmp_path / "test_page.py").write_text(code, encoding="utf-8")
    count = len(re.findall("^(?:async )?def test_", code, re.MULTILINE))
    assert f"{count} passed" in run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_page.py")


def test_when_the_connection_breaks(run, tmp_path):
    said = run(sys.executable, written(tmp_path, "When the connection breaks"))
    assert said.startswith("Result(status='ok', balance=97,")


def test_selling_stock(run, tmp_path):
    said = run(sys.executable, written(tmp_path, "Selling stock"))
    assert said.startswith("StockResult(status='ok', level=7, qty=2, state='confirmed',")
    assert said.endswith(") 7\n")


def test_locks(run, tmp_path):
    promised = re.search(r"# (\d+ lines, none lost)", SNIPPETS["Locks"])[1]
    assert run(sys.executable, written(tmp_path, "Locks")) == f"{promised}\n"


def test_the_shell_session(run):
    needs("typer")
    (session,) = (body for heading, body in blocks(README, "sh") if heading == "Follow along")
    for line in session.splitlines():
        run(*line.split())


def test_the_two_commands_are_there_to_be_copied():
    commands = [body for heading, body in blocks(README, "sh") if heading == "The first minute"]
    assert commands == [
        "pip install '.[all]' && redislock compare\n",
        "pip install '.[test]' && pytest\n",
    ]


def test_the_comparison_is_that_of_the_committed_figures():
    source = TOP / "docs" / "figures" / "make_compare.py"
    script = runpy.run_path(str(source))
    runs = json.loads(script["FIGURES"].read_text(encoding="utf-8"))
    assert f"{script['BEGIN']}\n{script['render'](runs)}{script['END']}" in README


def test_the_page_about_comparisons_shows_the_committed_sweeps(monkeypatch):
    folder = TOP / "docs" / "figures"
    monkeypatch.syspath_prepend(str(folder))
    script = runpy.run_path(str(folder / "make_sweeps.py"))
    sweeps = json.loads(script["FIGURES"].read_text(encoding="utf-8"))
    page = script["PAGE"].read_text(encoding="utf-8")
    assert script["render"](sweeps, page) == page
    for name in script["DRAWN"].values():
        assert (folder / name).is_file()
        assert f"(figures/{name})" in page


# --- the other pages ------------------------------------------------------------------------------


def test_snippets_of_the_guarantees_run(server):
    with Client(server.url) as client:
        client.init("alice", 100)
        for _, body in blocks(GUARANTEES, "python"):
            exec(body, {"client": client})


def names_in_table(heading):
    section = GUARANTEES.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("|")]
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def test_every_status_is_explained():
    assert names_in_table("What an answer says about the money") == {
        str(status) for status in redislock.Status
    }


def test_every_exception_is_explained():
    ours = {
        name
        for name in redislock.__all__
        if isinstance(kind := getattr(redislock, name), type) and issubclass(kind, redislock.Error)
    }
    builtin = {"ValueError", "TypeError", "OverflowError"}
    told = names_in_table("What an exception says about the money")
    assert told == ours - {"Error"} | builtin


def test_the_acl_of_the_guarantees_suffices(server):
    redis = pytest.importorskip("redis")
    (rule,) = re.findall(r"^ACL SETUSER shop .*$", GUARANTEES, re.MULTILINE)
    with redis.Redis.from_url(server.url) as other:
        other.execute_command(*rule.split())
    with Client(
        server.url, username="shop", password="secret", client_name="shop", history_limit=1
    ) as client:
        client.init("alice", 100)
        for strategy in ("lua", "lock", "watch"):
            assert client.withdraw(strategy, "alice", 3)
            assert client.withdraw(strategy, "alice", 3, idempotency_key=strategy)
            assert client.withdraw(strategy, "alice", 3, idempotency_key=strategy).replayed
        assert client.withdraw_naive("alice", 3)
        assert client.deposit("alice", 3, idempotency_key="paid in")
        assert client.outcome("alice", "lua").balance == 94
        assert len(client.history("alice")) == 1
        assert client.balance("alice") == 82
        health = client.health()
        assert health.reachable
        assert not any("not allowed" in each for each in health.warnings)
        assert client.delete("alice")


def test_the_acl_of_the_guarantees_suffices_for_comparisons_too(server, monkeypatch):
    redis = pytest.importorskip("redis")
    (rule,) = re.findall(r"^ACL SETUSER shop .*$", GUARANTEES, re.MULTILINE)
    monkeypatch.delenv("KEY_PREFIX", raising=False)
    who = {"username": "shop", "password": "secret"}
    with redis.Redis.from_url(server.url, decode_responses=True) as other:
        other.execute_command(*rule.split())
        for strategy in load.STRATEGIES:
            report = load.run(server.url, strategy=strategy, users=4, count=50, warmup=0, **who)
            assert report.statuses["ok"]
            assert _race.run(server.url, strategy=strategy, **who).sold == 2
        assert other.keys("redislock:load-*") + other.keys("redislock:race-*") == []


def test_the_acl_of_the_guarantees_suffices_for_stock(server):
    redis = pytest.importorskip("redis")
    (rule,) = re.findall(r"^ACL SETUSER shop .*$", GUARANTEES, re.MULTILINE)
    (more,) = re.findall(r"`([+a-z ]+\+xadd[+a-z ]+)`", GUARANTEES)
    with redis.Redis.from_url(server.url) as other:
        other.execute_command(*rule.split(), *more.split())
    with Client(server.url, username="shop", password="secret") as client:
        stock = client.stock("tee", backlog=100)
        assert stock.set(100)
        for strategy in ("lua", "lock", "watch", "naive"):
            for which in ("confirmed", "cancelled"):
                assert stock.reserve(1, f"{strategy} {which}", strategy=strategy, user="bob", limit=50)
            assert stock.confirm(f"{strategy} confirmed")
            assert stock.cancel(f"{strategy} cancelled")
            assert stock.order(1, strategy, strategy=strategy, user="bob", limit=50)
            assert client.stock("tee", hold=0.001).reserve(1, f"{strategy} expired", user="eve")
            time.sleep(0.003)
            assert stock.level() == 100 - stock.backlog()
        assert stock.backlog() == 8
        assert stock.outcome("lua").state == "confirmed"


def test_the_acl_of_the_guarantees_suffices_for_locks(server):
    redis = pytest.importorskip("redis")
    (rule,) = re.findall(r"^ACL SETUSER worker .*$", GUARANTEES, re.MULTILINE)
    with redis.Redis.from_url(server.url) as other:
        other.execute_command(*rule.split())
    with Client(server.url, username="worker", password="secret") as client:

        def held_in_turn(make):
            def take():
                with make() as lock:
                    assert lock.fence
                    lock.extend(1)
                    time.sleep(0.05)  # so that the others wait in line

            with ThreadPoolExecutor(3) as threads:
                list(threads.map(lambda _: take(), range(3)))

        held_in_turn(lambda: client.lock("stock:lamp"))
        held_in_turn(lambda: client.lock("stock:desk", timeout=1))
        held_in_turn(lambda: client.semaphore("stock:places", 1))
        held_in_turn(lambda: client.rw_lock("stock:list").write())
        held_in_turn(lambda: client.multi_lock(["stock:chair", "stock:lamp"]))
    url = server.url.replace("://", "://worker:secret@")
    listed = subprocess.run(
        [sys.executable, "-m", "redislock", "locks", "--url", url],
        capture_output=True,
        text=True,
        check=False,
    )
    assert listed.returncode == 0, listed.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path) if path else page
        assert there.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.+)$", there.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in titles}
            assert anchor in anchors, target
