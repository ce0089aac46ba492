"""docs/locks.md keeps its word: its snippets run in order and print what they say; its picture is drawn."""

import contextlib
import io
import re
import runpy
from pathlib import Path

import pytest

from redislock._server import PrivateServer

TOP = Path(__file__).parents[2]
PAGE = (TOP / "docs" / "locks.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
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
    names = {}
    try:
        for snippet in SNIPPETS:
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                exec(snippet, names)
            promised = re.findall(r"^ *print\(.*\)  # (.+)$", snippet, re.MULTILINE)
            assert said.getvalue().splitlines() == promised, snippet
    finally:
        for each in {"client", "db"} & set(names):
            names[each].close()


@pytest.mark.parametrize("title", RECIPES)
def test_each_use_case_has_a_snippet_that_is_run(title):
    section = PAGE.split(f"\n### {title}\n")[1].split("\n### ")[0]
    snippets = re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert snippets
    assert all("  # " in each for each in snippets)


def test_every_primitive_is_named():
    import redislock

    made = re.findall(r"^\| `client\.(\w+)\(", PAGE, re.MULTILINE)
    assert made
    assert [each for each in made if not hasattr(redislock.Client, each)] == []


def test_the_picture_is_what_its_script_draws():
    script = runpy.run_path(str(TOP / "docs" / "figures" / "make_locks.py"))
    assert script["PICTURE"].read_text(encoding="utf-8") == script["draw"]()
