"""docs/locks.md keeps its word: its snippets run in order and print what they say; its picture is drawn."""

import re
import runpy
from pathlib import Path

import pytest
from pages import run_snippets, snippets

from redislock._server import PrivateServer

TOP = Path(__file__).parents[2]
PAGE = (TOP / "docs" / "locks.md").read_text(encoding="utf-8")
RECIPES = [
    "Inventory",
    "Payment",
    "Resource allocation",
    "Data migration",
    "Cache refill",
    "Rate limit",
    "Leader of a cron job",
]


@pytest.fixture
def server():
    with PrivateServer(port=0) as running:
        yield running


@pytest.mark.parametrize("where", ["server", "memory"])
def test_the_snippets_print_what_they_say(monkeypatch, request, where):
    url = request.getfixturevalue("server").url if where == "server" else "memory://locks-page"
    monkeypatch.setenv("REDIS_CONN", url)
    assert snippets(PAGE)
    run_snippets(PAGE)


@pytest.mark.parametrize("title", RECIPES)
def test_each_use_case_has_a_snippet_that_is_run(title):
    section = PAGE.split(f"\n### {title}\n")[1].split("\n### ")[0]
    assert snippets(section)
    assert all("  # " in each for each in snippets(section))


def test_every_primitive_is_named():
    import redislock

    made = re.findall(r"^\| `client\.(\w+)\(", PAGE, re.MULTILINE)
    assert made
    assert [each for each in made if not hasattr(redislock.Client, each)] == []


def test_the_picture_is_what_its_script_draws():
    script = runpy.run_path(str(TOP / "docs" / "figures" / "make_locks.py"))
    assert script["PICTURE"].read_text(encoding="utf-8") == script["draw"]()
