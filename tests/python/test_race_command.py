"""The command `redislock race`, end to end."""

import contextlib
import io
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import redis
from rich.console import Console
from typer.testing import CliRunner

from redislock import _race
from redislock.cli import _timeline, app
from redislock.cli._sequence import draw

STRATEGIES = ["naive", "lua", "lock", "watch"]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def environment(monkeypatch, user):
    for name in ("REDIS_CONN", "MAX_RETRIES", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KEY_PREFIX", user)


def race(*arguments):
    return CliRunner().invoke(app, ["race", *arguments], prog_name="redislock")


def sentence(done, code=2):
    """The one sentence of a refusal."""
    assert done.exit_code == code, done.output
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("redislock: ")
    assert done.stdout == ""
    return lines[0]


def test_naive_oversells_on_a_server_of_its_own():
    done = race("naive")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert "-server" in lines[0]
    assert "private" in lines[0]
    assert lines[1:] == [
        "naive: 2 buyers want 1 each; there are 5",
        "",
        " 1  A: reads 5 [GET balance | TIME]; the server holds 5",
        " 2  B: reads 5 [GET balance | TIME]; the server holds 5",
        " 3  A: writes 4 [SET balance 4 | LPUSH history entry | LTRIM history 0 999]; the server holds 4",
        " 4  B: writes 4 [SET balance 4 | LPUSH history entry | LTRIM history 0 999]; the server holds 4",
        "    LOST: the server held 4 by now, and not the 5 that B read: what A took is forgotten",
        "",
        "A: ok, told that 4 are left",
        "B: ok, told that 4 are left",
        "sold 2 of 5; the server holds 4",
        (
            "verdict: lost 1 (expected); account stock: 1 was paid out and never deducted: "
            "3 should be left, 4 are"
        ),
    ]


@pytest.mark.parametrize(
    ("strategy", "moment"),
    [
        ("lua", "    SAVED: looking and taking are one step on the server: B meets the 4 that A left"),
        ("lock", "    SAVED: lock busy: A holds it"),
        ("watch", "    SAVED: null EXEC: A wrote since B's WATCH"),
    ],
)
def test_the_others_are_saved(server, raw, user, strategy, moment):
    done = race(strategy, "--url", server.url)
    assert done.exit_code == 0, done.output
    assert moment in done.stdout
    assert "sold 2 of 5; the server holds 3\nverdict: held\n" in done.stdout
    assert "LOST" not in done.stdout
    assert raw.keys(f"{user}*") == []


def test_on_memory_without_a_server():
    done = race("watch", "--url", "memory://", "--buyers", "4")
    assert done.exit_code == 0, done.output
    assert "D: ok after 4 attempts, told that 1 is left" in done.stdout


def test_json_for_programs(server):
    done = race("lock", "--url", server.url, "--balance", "9", "--amount", "2", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["server"]["url"].startswith(server.url)
    assert found["server"]["private"] is False
    assert found["strategy"] == "lock"
    assert [each["balance"] for each in found["steps"]] == [9, 9, 7, 7, 5]
    assert [each["buyer"] for each in found["steps"]] == list("ABABB")
    assert found["results"]["B"] == {"status": "ok", "balance": 5, "attempts": 2}
    assert (found["sold"], found["end"], found["verdict"]["word"]) == (4, 5, "held")


def test_a_safe_strategy_that_loses_sets_the_exit_code(monkeypatch):
    run = _race.run

    def robbed(url, **asked):
        # The real race of naive, under the name of a safe one.
        seen = run(url, **{**asked, "strategy": "naive"})
        return type(seen)(**{**vars(seen), "strategy": "lua"})

    monkeypatch.setattr(_race, "run", robbed)
    done = race("lua", "--url", "memory://")
    assert done.exit_code == 1
    assert "verdict: lost 1; account stock" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["sql"], "'sql' is not one of 'naive', 'lua', 'lock', 'watch'"),
        (["naive", "--buyers", "1"], "must be a whole number from 2 to 26, not '1'"),
        (["naive", "--buyers", "27"], "must be a whole number from 2 to 26, not '27'"),
        (["naive", "--balance", "-1"], "must be a whole number from 0 to"),
        (["naive", "--amount", "0"], "must be a whole number from 1 to"),
        (["naive", "--amount", "2.5"], "must be a whole number from 1 to"),
        (["naive", "--timeout", "0"], "must be a number of seconds above 0"),
        (["naive", "--svg", "/nowhere/race.svg"], "the folder /nowhere does not exist"),
        (["naive", "--svg", "/"], "/ is a folder"),
        (["naive", "--svg", ""], "name a file"),
        (["naive", "--svg", "-"], "name a file"),
        (["naive", "--prefix", "a{b"], "prefix"),
        (["naive", "--url", "http://x"], "the URL's scheme must be"),
        ([], "missing argument"),
    ],
)
def test_bad_input_gets_one_sentence(arguments, why):
    assert why in sentence(race(*arguments))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_a_diagram_that_cannot_be_written_hides_no_race(user):
    done = race("naive", "--url", "memory://", "--svg", "/dev/full")
    assert "verdict: lost 1 (expected)" in done.stdout
    assert done.stderr == "redislock: /dev/full: No space left on device\n"
    assert done.exit_code == 2


def test_no_server_is_a_fault():
    assert "cannot connect" in sentence(race("lua", "--url", "redis://127.0.0.1:1"), code=3)


def test_ctrl_c_deletes_the_keys(server, raw, user):
    program = (
        "import sys\n"
        "from redislock import _race\n"
        "from redislock.cli import main\n"
        "step = _race._Led._step\n"
        "def slow(self, number, *rest):\n"
        "    if number == 3:\n"
        "        print('half way', file=sys.stderr, flush=True)\n"
        "        __import__('time').sleep(60)\n"
        "    return step(self, number, *rest)\n"
        "_race._Led._step = slow\n"
        f"sys.argv[1:] = ['race', 'lock', '--url', {server.url!r}, '--prefix', {user!r}]\n"
        "sys.exit(main())\n"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr.readline() == "half way\n"
        assert len(raw.keys(f"{user}*")) == 2  # the balance and the lock
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=30)
    assert running.returncode == 130, said
    assert said.strip() == ""
    give_up = time.monotonic() + 5
    while raw.keys(f"{user}*") and time.monotonic() < give_up:
        time.sleep(0.01)
    assert raw.keys(f"{user}*") == []


# ---- broken off


@pytest.fixture
def half_way(start_server, user):
    """A race of many buyers whose server stops to take writes in the middle; the program and the server."""
    stack = contextlib.ExitStack()

    def begin(*arguments):
        running = start_server(port=0)
        outside = stack.enter_context(redis.Redis.from_url(running.url, decode_responses=True))
        watching = stack.enter_context(outside.monitor())
        command = [sys.executable, "-m", "redislock", "race", "lock", "--buyers", "26", *arguments]
        program = subprocess.Popen(
            [*command, "--url", running.url, "--prefix", user],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        stack.callback(program.kill)
        busy = (
            seen
            for seen in watching.listen()
            if seen["command"].startswith("SET ") and " NX " in seen["command"]
        )
        for _ in zip(range(40), busy, strict=False):  # of hundreds: the first round and a part of the second
            pass
        outside.execute_command("CLIENT", "PAUSE", "60000", "WRITE")
        give_up = time.monotonic() + 10
        while outside.info("clients")["blocked_clients"] == 0:  # the buyer whose turn it is
            assert time.monotonic() < give_up
            time.sleep(0.005)
        return program, running, outside

    with stack:
        yield begin


def ended(program, code):
    out, err = program.communicate(timeout=30)
    assert program.returncode == code, out + err
    return out, err


def test_ctrl_c_prints_what_was_seen_so_far(half_way, user):
    program, _, outside = half_way()
    program.send_signal(signal.SIGINT)
    outside.execute_command("CLIENT", "UNPAUSE")
    out, err = ended(program, 130)
    assert err == ""
    lines = out.splitlines()
    steps = [int(found[1]) for line in lines if (found := re.match(r" *(\d+)  [A-Z]: ", line))]
    assert 27 <= len(steps) < 200
    assert steps == list(range(1, len(steps) + 1))
    [told] = [line for line in lines if line.startswith("interrupted")]
    assert told.startswith(f"interrupted by Ctrl-C after {len(steps)} round trips; no end of ")
    assert "A: ok, told that 4 are left" in lines
    assert lines[-1] in ("verdict: held", "verdict: held, 1 unknown")
    assert outside.keys(f"{user}*") == []


def test_a_server_that_dies_is_told_below_what_was_seen(half_way):
    program, running, _ = half_way("--timeout", "1")
    running.kill()
    out, err = ended(program, 3)
    told = [line for line in out.splitlines() if line.startswith("interrupted")]
    assert re.fullmatch(r"interrupted by a fault after \d+ round trips; no end of .+", told[0])
    assert "A: ok, told that 4 are left" in out.splitlines()
    assert "verdict" not in out  # nobody is there to be asked
    assert err.splitlines()[-1].startswith("redislock: ")


def test_a_broken_off_race_for_programs_and_as_a_diagram(half_way, tmp_path):
    picture = tmp_path / "race.svg"
    program, _, outside = half_way("--json", "--svg", str(picture))
    program.send_signal(signal.SIGINT)
    outside.execute_command("CLIENT", "UNPAUSE")
    seen = json.loads(ended(program, 130)[0])
    assert seen["broken_off"] == "Ctrl-C"
    assert len(seen["steps"]) >= 27
    assert seen["results"]["A"] == {"status": "ok", "balance": 4, "attempts": 1}
    assert seen["verdict"]["held"]
    told = ["".join(each.itertext()) for each in ET.parse(picture).iter(f"{SVG}text")]
    assert any(
        each.startswith(f"interrupted by Ctrl-C after {len(seen['steps'])} round trips") for each in told
    )


# ---- on a terminal


def on_terminal(monkeypatch, seen, width, **settings):
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=width, markup=False, highlight=False, **settings)
    monkeypatch.setattr(_timeline, "Console", lambda **_: console)
    _timeline.Timeline().tell(seen, "a server")
    return shown.getvalue()


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("width", [40, 66, 80, 120, 200])
def test_it_fits_the_terminal(monkeypatch, user, strategy, width):
    seen = _race.run(f"memory://{user}", strategy=strategy)
    text = on_terminal(monkeypatch, seen, width, no_color=True, color_system=None)
    assert "\x1b" not in text
    assert all(len(line) <= width for line in text.splitlines())
    told = " ".join(text.split())
    assert "server" in told
    for step in seen.steps:
        assert step.does.split()[0] in told
    assert ("LOST:" if strategy == "naive" else "SAVED:") in told
    columns = any(re.match(r"\s+A\s+B\s+server", line) for line in text.splitlines())
    assert columns == (width >= 66)


def test_colours_and_none(monkeypatch, user):
    seen = _race.run(f"memory://{user}", strategy="naive")
    assert "\x1b[31m" in on_terminal(monkeypatch, seen, 100, color_system="standard", no_color=False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[31m" not in on_terminal(monkeypatch, seen, 100, color_system="standard")


# ---- the diagram


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_diagram_is_made_of_the_trace(server, tmp_path, strategy):
    files = [tmp_path / "one.svg", tmp_path / "two.svg"]
    for each in files:
        done = race(strategy, "--url", server.url, "--buyers", "3", "--svg", str(each))
        assert done.exit_code == 0, done.output
    text = files[0].read_text(encoding="utf-8")
    assert files[1].read_text(encoding="utf-8") == text
    root = ET.fromstring(text)
    assert root.tag == f"{SVG}svg"
    told = ["".join(each.itertext()) for each in root.iter(f"{SVG}text")]
    assert {"buyer A", "buyer B", "buyer C", "server: 5"} <= set(told)
    assert any(each.startswith("lost: " if strategy == "naive" else "saved: ") for each in told)
    assert told[-1] == {
        "naive": "sold 3 of 5, the server holds 4: lost 2",
    }.get(strategy, "sold 3 of 5, the server holds 2: held")
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|<script|<image|url\(", text)


def test_the_diagram_of_the_docs_is_a_real_one(server):
    committed = Path(__file__).parents[2] / "docs" / "figures" / "race-naive.svg"
    assert committed.read_text(encoding="utf-8") == draw(_race.run(server.url, strategy="naive"))


@pytest.mark.parametrize("buyers", [2, 3, 7])
def test_nothing_in_the_diagram_leaves_it(user, buyers):
    for strategy in STRATEGIES:
        seen = _race.run(f"memory://{user}", strategy=strategy, buyers=buyers, balance=2**63 - 1)
        root = ET.fromstring(draw(seen))
        _, _, width, height = map(float, root.get("viewBox").split())
        for each in root.iter(f"{SVG}text"):
            size = 7.0 * len("".join(each.itertext()))
            x, y = float(each.get("x")), float(each.get("y"))
            left = {"start": x, "middle": x - size / 2, "end": x - size}[each.get("text-anchor")]
            assert left >= -2, ET.tostring(each)
            assert left + size <= width + 2, ET.tostring(each)
            assert 0 < y < height
        for each in root.iter(f"{SVG}rect"):
            assert float(each.get("y", 0)) + float(each.get("height")) <= height
            assert float(each.get("x", 0)) + float(each.get("width")) <= width
