"""examples/k6.js: it drives the web application, and sees when money is missing. Needs k6 to run it."""

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

from redislock import Client

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPT = EXAMPLES / "k6.js"
LOST = 99  # k6's exit code where a threshold was crossed


@pytest.fixture
def web(server):
    """The application, served over HTTP; where it listens."""
    if shutil.which("k6") is None:
        pytest.skip("k6 is not installed")
    if importlib.util.find_spec("uvicorn") is None:
        pytest.skip("uvicorn is not installed")
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLES), "fastapi_app:app"]
    command += ["--port", "0", "--no-access-log"]
    environment = {**os.environ, "REDIS_CONN": server.url, "KEY_PREFIX": "", "MAX_RETRIES": ""}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as serving:
        try:
            said = ""
            while not (where := re.search(r"running on (http://\S+)", said)):
                line = serving.stderr.readline()
                assert line, said
                said += line
            rest = threading.Thread(target=serving.stderr.read)  # a full pipe would stop it
            rest.start()
            yield where[1]
        finally:
            serving.terminate()
    rest.join()


def drive(web, **environment):
    named = {"BASE_URL": web, "VUS": 8, **environment}
    told = [word for name, value in named.items() for word in ("-e", f"{name}={value}")]
    return subprocess.run(
        ["k6", "run", "--quiet", "--no-usage-report", *told, str(SCRIPT)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("strategy", ["lua", "lock", "watch"])
def test_no_money_is_missing(web, strategy):
    done = drive(web, STRATEGY=strategy, DURATION="1s", ACCOUNTS=2)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"withdrawals_ok\.+: [1-9]", done.stdout), done.stdout


def test_money_that_is_missing_fails_the_run(web, server):
    ended = threading.Event()

    def pay_in():
        with Client(server.url) as client:
            while not ended.wait(0.02):
                with contextlib.suppress(Exception):
                    client.deposit("k6-0", 1)

    payer = threading.Thread(target=pay_in)
    payer.start()
    try:
        done = drive(web, DURATION="1s")
    finally:
        ended.set()
        payer.join()
    assert done.returncode == LOST, done.stdout + done.stderr
    assert "money_unaccounted" in done.stderr


def test_an_application_that_is_not_there_is_told(web):
    with urllib.request.urlopen(f"{web}/health") as there:
        assert there.status == 200
    done = drive("http://127.0.0.1:9", DURATION="1s")
    assert done.returncode not in {0, LOST}
    assert "does not reach its server" in done.stderr


def test_the_script_can_be_parsed(tmp_path):
    """Without k6 as well: Node.js knows the language, and runs nothing of it here."""
    if shutil.which("node") is None:
        pytest.skip("Node.js is not installed")
    module = tmp_path / "k6.mjs"
    shutil.copy(SCRIPT, module)
    checked = subprocess.run(["node", "--check", module], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_every_path_that_is_asked_for_is_served():
    fastapi_app = (EXAMPLES / "fastapi_app.py").read_text(encoding="utf-8")
    script = SCRIPT.read_text(encoding="utf-8")
    asked = set(re.findall(r"[\"`}](/[a-z]+)[\"`?]", script))
    assert asked == {"/health", "/init", "/balance"}
    for path in asked:
        assert f'("{path}")' in fastapi_app
    for strategy in ("lua", "lock", "watch"):
        assert f'("/withdraw_{strategy}")' in fastapi_app
