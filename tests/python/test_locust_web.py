"""Locust's web UI with the tab "Withdrawals" and its charts, in a real browser, over workers."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import pytest

import redislock

pytestmark = pytest.mark.skipif(find_spec("locust") is None, reason="locust is not installed")

LOCUSTFILE = Path(__file__).parents[2] / "locust" / "locustfile.py"
PATIENCE = 60
START = 100_000_000


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(look, what):
    """Call until it answers something true, and return that."""
    give_up = time.monotonic() + PATIENCE
    while True:
        if found := look():
            return found
        assert time.monotonic() < give_up, what
        time.sleep(0.05)


class Site:
    """A running Locust with its web UI."""

    def __init__(self, process, port):
        self.process = process
        self.url = f"http://127.0.0.1:{port}"

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=PATIENCE) as answer:
            return json.loads(answer.read())

    def post(self, path, **form):
        body = urllib.parse.urlencode(form).encode()
        with urllib.request.urlopen(self.url + path, body, timeout=PATIENCE) as answer:
            return json.loads(answer.read())

    def is_up(self):
        assert self.process.poll() is None, self.process.communicate()[0]
        try:
            return self.get("/stats/requests")
        except (urllib.error.URLError, ConnectionError):
            return None

    def ok(self, name):
        rows = {row["name"]: row for row in self.get("/withdrawals/data")["rows"]}
        return rows.get(name, {}).get("ok", 0)

    def leave(self):
        self.process.send_signal(signal.SIGTERM)
        log, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, log


def command(*arguments):
    return [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), *arguments]


@pytest.fixture
def start(server, user):
    """Start Locust as it is asked to, and any number of workers for it."""
    running = []
    names = ("REDIS_CONN", "KEY_PREFIX", "MAX_RETRIES", "INIT_BALANCE", "USER_ID")
    kept = {name: value for name, value in os.environ.items() if name not in names}

    def popen(*arguments, **variables):
        process = subprocess.Popen(
            command(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**kept, **variables},
        )
        running.append(process)
        return process

    def launch(*arguments, workers=0):
        port, bind = free_port(), str(free_port())
        process = popen(
            *("--web-host", "127.0.0.1", "--web-port", str(port), "--host", server.url),
            *(
                "--user-id",
                user,
                "--init-balance",
                str(START),
                "--master-bind-port",
                bind,
                "--master-port",
                bind,
            ),
            *arguments,
        )
        for _ in range(workers):
            # What a worker is told by its own environment does not matter: the master's word does.
            popen("--worker", "--master-port", bind, REDIS_CONN="redis://127.0.0.1:1", USER_ID="nobody")
        site = Site(process, port)
        site.workers = running[1:]
        eventually(site.is_up, "the web UI does not answer")
        return site

    yield launch
    for process in running:
        if process.poll() is None:
            process.terminate()
    for process in running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=PATIENCE)
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if find_spec("selenium") is None:
        pytest.skip("selenium is not installed")
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} on PATH (Debian: apt-get install chromium chromium-driver)")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in (
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--disable-dev-shm-usage", "--window-size=1400,900"),
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):
        options.add_argument(flag)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    with webdriver.Chrome(options, service) as driver:
        driver.set_page_load_timeout(PATIENCE)
        yield driver


def wait_for(site, workers):
    if workers:
        eventually(lambda: site.get("/stats/requests").get("worker_count") == workers, "workers are missing")


def number_of(browser, name):
    """What the table of the tab says of that request's ok."""
    script = """
        const row = [...document.querySelectorAll('tbody tr')]
            .find(each => each.cells[0].textContent === arguments[0]);
        return row ? Number(row.cells[1].textContent) : 0;
    """
    return browser.execute_script(script, name)


def chart_of(browser, which):
    script = "return [...document.querySelectorAll(`#${arguments[0]} polyline`)].map(e => e.points.length)"
    return browser.execute_script(script, which)


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("arguments", "outside", "workers"),
    [((), 0, 0), (("--processes", "2"), 0, 2), (("--master",), 2, 2)],
    ids=["one process", "--processes 2", "master with two workers"],
)
def test_the_tab_and_the_charts_in_a_browser(start, browser, server, user, arguments, outside, workers):
    site = start(*arguments, workers=outside)
    wait_for(site, workers)
    browser.get(site.url)
    form = eventually(
        lambda: browser.find_elements("css selector", "form"), "the form of the web UI is not shown"
    )[0]
    assert browser.find_element("name", "host").get_attribute("value") == server.url
    for name in ("userId", "withdrawAmount", "amountJitter", "initBalance", "keyPrefix", "maxRetries"):
        assert browser.find_elements("name", name), name
    count = browser.find_element("name", "userCount")
    browser.execute_script("arguments[0].select()", count)
    count.send_keys("8")
    form.submit()

    tab = eventually(
        lambda: browser.find_elements("xpath", "//*[@role='tab'][.='Withdrawals']"), "there is no such tab"
    )[0]
    link = browser.find_element("css selector", "#redislock-link")
    assert not link.is_displayed()
    tab.click()
    first = eventually(lambda: number_of(browser, "withdraw_lua"), "the tab shows nothing")
    eventually(lambda: number_of(browser, "withdraw_lua") > first, "the tab is not live")
    eventually(link.is_displayed, "the link is not shown")

    browser.get(link.find_element("tag name", "a").get_attribute("href"))
    drawn = eventually(lambda: chart_of(browser, "ok"), "no line is drawn")
    assert len(drawn) <= 3
    eventually(lambda: sum(chart_of(browser, "ok")) > sum(drawn) + 3, "the chart does not update itself")
    assert sum(chart_of(browser, "p99")) > 0
    assert "judged when the run is over" in browser.find_element("id", "state").text

    site.post("/stop")
    told = eventually(
        lambda: (
            "held" in browser.find_element("id", "state").text and browser.find_element("id", "outcomes").text
        ),
        "no verdict is shown",
    )
    assert "withdraw_watch" in told
    taken = 3 * sum(site.ok(f"withdraw_{each}") for each in ("lua", "lock", "watch"))
    with redislock.Client(server.url) as client:
        left = client.balance(user)
    assert START - taken - 3 * 8 <= left <= START - taken
    code, log = site.leave()
    assert code == 0, log
    assert "money: held" in log
    assert "Traceback" not in log


@pytest.mark.parametrize("workers", [0, 2])
def test_every_start_opens_a_new_ledger(start, server, user, workers):
    site = start(*(("--master",) if workers else ()), "--tags", "lua", workers=workers)
    wait_for(site, workers)
    for amount in (3, 5):
        assert site.post("/swarm", user_count=4, spawn_rate=4, withdraw_amount=amount)["success"]
        eventually(lambda: site.ok("withdraw_lua") > 50, "nothing was withdrawn")
        site.post("/stop")
        wait_for(site, workers)
        told = site.get("/withdrawals/data")
        assert not told["going"]
        assert told["money"].startswith("held"), told["money"]
        with redislock.Client(server.url) as client:
            taken = {entry.amount for entry in client.history(user)}
            left = client.balance(user)
        assert taken == {amount}
        ok = amount * site.ok("withdraw_lua")
        assert START - ok - amount * 4 <= left <= START - ok
    code, log = site.leave()
    assert code == 0, log
    assert log.count("money: held") == 2


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("withdraw_amount", "0", "--withdraw-amount (WITHDRAW_AMOUNT) must be a whole number from 1"),
        ("init_balance", "lots", "--init-balance (INIT_BALANCE) must be a whole number from 0"),
        ("key_prefix", "{a}", "--key-prefix (KEY_PREFIX) must not contain braces"),
        ("host", "http://localhost", "--host: "),
    ],
)
def test_wrong_input_in_the_form_starts_nothing(start, field, value, told):
    site = start()
    answer = site.post("/swarm", user_count=1, spawn_rate=1, **{field: value})
    assert not answer["success"]
    assert told in answer["message"]
    assert site.get("/stats/requests")["state"] == "ready"
    code, log = site.leave()
    assert code == 0, log


def test_money_that_is_lost_ends_with_1(start, server, user):
    site = start("--tags", "lua")
    assert site.post("/swarm", user_count=2, spawn_rate=2)["success"]
    eventually(lambda: site.ok("withdraw_lua") > 10, "nothing was withdrawn")
    with redislock.Client(server.url) as client:
        client.deposit(user, 1_000_000)  # not known to the run: money from nowhere
    site.post("/stop")
    assert site.get("/withdrawals/data")["lost"]
    code, log = site.leave()
    assert code == 1, log
    assert "money: lost " in log


def test_a_worker_that_dies_leaves_no_verdict(start):
    site = start("--master", "--tags", "lua", workers=2)
    wait_for(site, 2)
    assert site.post("/swarm", user_count=2, spawn_rate=2)["success"]
    eventually(lambda: site.ok("withdraw_lua") > 50, "nothing was withdrawn")
    site.workers[0].kill()
    code, log = site.leave()
    assert code == 1, log
    assert "money: not known: 1 of 2 workers went with their counts" in log
