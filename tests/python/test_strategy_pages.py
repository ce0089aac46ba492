"""docs/strategies: the snippets run in order and print what they say, and every strategy has its page."""

import contextlib
import io
import re
from pathlib import Path

import pytest

import redislock

TOP = Path(__file__).parents[2]
PAGES = sorted(TOP.glob("docs/strategies/[a-z]*.md"))
INDEX = (TOP / "docs" / "strategies" / "README.md").read_text(encoding="utf-8")


def snippets(page):
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def run(page):
    """Run the snippets of a page in one namespace; close what they opened."""
    names = {}
    try:
        for snippet in snippets(page):
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                exec(snippet, names)
            promised = re.findall(r"^ *print\(.*\)  # (.+)$", snippet, re.MULTILINE)
            assert said.getvalue().splitlines() == promised, snippet
    finally:
        for each in {"client", "bank"} & set(names):
            names[each].close()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_snippets_print_what_they_say(page, server, monkeypatch):
    monkeypatch.setenv("REDIS_CONN", server.url)
    assert snippets(page)
    run(page)


def test_every_strategy_has_a_page_and_a_picture_of_it():
    there = {each.removeprefix("withdraw_") for each in dir(redislock.Client) if each.startswith("withdraw_")}
    assert there <= {page.stem for page in PAGES}
    for page in PAGES:
        assert f"(../diagrams/{page.stem}.svg)" in page.read_text(encoding="utf-8")
        assert f"[{page.name}]({page.name})" in INDEX
