"""The pictures in docs/diagrams are those of their sources, which say what is really sent. No Java needed."""

import json
import re
import runpy
import struct
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import redis

from redislock import Client, _race
from redislock.sql._faults import AgainError
from redislock.sql._statements import Statements
from redislock.sql._strategies import STRATEGIES, Outcome, Pause, Request

TOP = Path(__file__).parents[2]
DIAGRAMS = TOP / "docs" / "diagrams"
SOURCES = sorted(DIAGRAMS.glob("*.puml"))
WIDEST = 1440  # pixels; a wider one is shrunk by a page until it cannot be read


def width_of(png):
    head = png.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">I", head[16:20])[0]


def test_the_pictures_are_those_of_their_sources():
    maker = runpy.run_path(str(DIAGRAMS / "make.py"))
    kept = json.loads((DIAGRAMS / "manifest.json").read_text(encoding="utf-8"))
    assert kept == maker["describe"](), "run docs/diagrams/make.py"


def test_no_picture_is_without_a_source():
    drawn = {each.stem for kind in ("png", "svg") for each in DIAGRAMS.glob(f"*.{kind}")}
    assert drawn == {each.stem for each in SOURCES}


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_the_picture_shows_what_its_source_says(source):
    text = source.read_text(encoding="utf-8")
    assert text.startswith(f"@startuml {source.stem}\n!include style.iuml\ntitle ")
    assert width_of(source.with_suffix(".png")) <= WIDEST
    drawn = ET.parse(source.with_suffix(".svg"))
    words = "".join(drawn.getroot().itertext()).replace("\N{NO-BREAK SPACE}", " ")
    assert re.search(r"^title (.+)$", text, re.MULTILINE)[1] in words
    assert "syntax error" not in words.lower()


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_page_shows_it(source):
    pages = "".join(each.read_text(encoding="utf-8") for each in (TOP / "docs").rglob("*.md"))
    assert f"diagrams/{source.stem}.svg)" in pages


COMMANDS_OF_SQL = {"BEGIN", "SELECT", "UPDATE", "COMMIT", "ROLLBACK"}
REFUSED = AgainError("could not serialize access due to concurrent update", "40001")

# Who is answered what, in this order, until both have ended; a list of rows for each statement.
ANSWERS = {
    "for_update": [("A", [[], [(5,)]]), ("A", [[(2, 8)], []]), ("B", [[], [(2,)]]), ("B", [[]])],
    "version": [
        ("A", [[(5, 7)]]),
        ("B", [[(5, 7)]]),
        ("A", [[(2, 8)]]),
        ("B", [[]]),
        ("B", [[(2, 8)]]),
    ],
    "atomic": [("A", [[(2, 8)]]), ("B", [[]]), ("B", [[(2,)]])],
    "serializable": [
        ("A", [[], [(5,)]]),
        ("B", [[], [(5,)]]),
        ("A", [[(2, 8)], []]),
        ("B", REFUSED),
        ("B", [[], [(2,)]]),
        ("B", [[]]),
    ],
}


def commands_drawn(source, known=None):
    """Return who sends which commands, message by message, up to the first separator."""
    story = source.read_text(encoding="utf-8").split("\n== ")[0]
    drawn = []
    for who, said in re.findall(r"^([AB]) -> R: (.+)$", story, re.MULTILINE):
        words = re.findall(r"(?:^|; |\\n)([A-Z]+)\b", said.replace('""', ""))
        drawn.append((who, tuple(each for each in words if known is None or each in known)))
    return drawn


@pytest.mark.parametrize("strategy", ["naive", "lua", "lock", "watch"])
def test_the_picture_is_what_goes_over_the_wire(strategy):
    race = _race.run("memory://", strategy=strategy, balance=5, amount=3, buyers=2)
    sent = [(step.buyer, tuple(each.split()[0] for each in step.sent)) for step in race.steps]
    assert commands_drawn(DIAGRAMS / f"{strategy}.puml") == sent


def commands_of(step):
    """Return what a step is made of; a change is an UPDATE, with whatever else its statement does."""
    texts = (each.postgres.decode() for each in step.statements)
    return tuple("UPDATE" if "WITH changed AS (UPDATE" in each else each.split()[0] for each in texts)


def go_on(caller, answer):
    """Give a caller its answer; return the step that it takes next, or how it ended."""
    try:
        step = caller.throw(answer) if answer is REFUSED else caller.send(answer)
        return caller.send([]) if isinstance(step, Pause) else step
    except StopIteration as done:
        return done.value


@pytest.mark.parametrize("strategy", ANSWERS)
def test_the_picture_is_what_the_strategy_asks_of_the_database(strategy):
    do = Statements(logs=True)
    values = {"user": "alice", "amount": 3, "operation": "withdraw", "key": None}
    callers = {who: STRATEGIES[strategy](do, Request(dict(values), retries=10)) for who in "AB"}
    sent = [(who, commands_of(next(each))) for who, each in callers.items()]
    ended = {}
    for who, answer in ANSWERS[strategy]:
        if answer is REFUSED:
            sent.append((who, ("ROLLBACK",)))  # the connection's: a refusal leaves a transaction open
        step = go_on(callers[who], answer)
        if isinstance(step, Outcome):
            ended[who] = step
        else:
            sent.append((who, commands_of(step)))
    assert ended == {"A": Outcome("ok", 2), "B": Outcome("insufficient", 2)}
    assert commands_drawn(DIAGRAMS / f"{strategy}.puml", COMMANDS_OF_SQL) == sent


# --- what scripts do, as a server's MONITOR sees it -------------------------------------------------


def commands_noted(source):
    """Return the commands of the first note over the server that says what a script does."""
    story = source.read_text(encoding="utf-8")
    (note, *_) = re.findall(r"^note over R \$KEPT\n(.+?)\nend note$", story, re.MULTILINE | re.DOTALL)
    return [each for told in re.findall(r'""(.+?)""', note) for each in re.findall(r"(?:^|; )([A-Z]+)", told)]


@pytest.fixture
def quiet(start_server):
    """A server on which nothing else happens, and a look at it from outside."""
    url = start_server(port=0).url
    with redis.Redis.from_url(url, decode_responses=True) as raw:
        yield url, raw


def commands_seen(raw, call, *, by_scripts):
    """Return the commands that clients sent, or that scripts called, meanwhile."""
    commands = []
    with raw.monitor() as seen:
        call()
        raw.echo("the end")
        while (each := seen.next_command())["command"] != "ECHO the end":
            if (each["client_type"] == "lua") == by_scripts:
                commands.append(each["command"].split()[0])
    return commands


def is_part_of(drawn, called):
    """Whether everything that is drawn was called, in this order."""
    rest = iter(called)
    return all(each in rest for each in drawn)


def test_the_picture_of_lua_shows_what_the_script_does(quiet):
    url, raw = quiet
    with Client(url) as client:
        client.init("alice", 5)
        called = commands_seen(raw, lambda: client.withdraw_lua("alice", 3), by_scripts=True)
    drawn = [each for each in commands_noted(DIAGRAMS / "lua.puml") if each != "LTRIM"]  # where it is full
    assert drawn == called


def test_the_picture_of_the_sale_shows_what_the_script_does(quiet):
    url, raw = quiet
    with Client(url) as client:
        stock = client.stock("lamp")
        stock.set(2)
        called = commands_seen(raw, lambda: stock.order(1, "a"), by_scripts=True)
    drawn = commands_noted(DIAGRAMS / "flash_sale.puml")
    assert drawn
    assert is_part_of(drawn, called)


def test_the_picture_of_the_outbox_shows_what_the_relay_asks(quiet, tmp_path):
    url, raw = quiet
    with Client(url) as client:
        stock = client.stock("lamp")
        stock.set(1)
        stock.order(1, "a")
    relay = [sys.executable, "-m", "redislock", "relay", "lamp", "--once", "--url", url]
    relay += ["--database", f"sqlite:///{tmp_path / 'orders.db'}"]
    called = commands_seen(raw, lambda: subprocess.run(relay, check=True, cwd=tmp_path), by_scripts=False)
    story = (DIAGRAMS / "outbox.puml").read_text(encoding="utf-8")
    drawn = re.findall(r'(?:^W -> R: |\\n)""(X[A-Z]+) ', story, re.MULTILINE)
    assert drawn == ["XREADGROUP", "XDEL", "XACK"]
    assert is_part_of(drawn, called)
