"""docs/article.md and docs/strategies: snippets print what they say, tables are of committed figures."""

import json
import re
import runpy
from pathlib import Path

import pytest
from pages import run_snippets, snippets

import redislock
from redislock import sql

TOP = Path(__file__).parents[2]
STRATEGIES = TOP / "docs" / "strategies"
ARTICLE = TOP / "docs" / "article.md"
PAGES = sorted(STRATEGIES.glob("[a-z]*.md"))
INDEX = (STRATEGIES / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def places(start_server, postgres, monkeypatch, tmp_path):
    """Where snippets find their servers."""
    monkeypatch.setenv("REDIS_CONN", start_server(port=0).url)
    monkeypatch.setenv("DATABASE_URL", postgres.url)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("page", [ARTICLE, *PAGES], ids=lambda page: page.stem)
def test_the_snippets_print_what_they_say(page, places):
    text = page.read_text(encoding="utf-8")
    assert snippets(text)
    run_snippets(text)


def test_every_strategy_has_a_page_and_a_picture_of_it():
    there = {
        each.removeprefix("withdraw_")
        for client in (redislock.Client, sql.Client)
        for each in dir(client)
        if each.startswith("withdraw_")
    }
    assert there == {page.stem for page in PAGES}
    for page in PAGES:
        assert f"(../diagrams/{page.stem}.svg)" in page.read_text(encoding="utf-8")
        assert f"[{page.name}]({page.name})" in INDEX


def test_the_tables_are_those_of_the_committed_figures(monkeypatch):
    folder = TOP / "docs" / "figures"
    monkeypatch.syspath_prepend(str(folder))
    script = runpy.run_path(str(folder / "make_strategies.py"))
    assert script["pages"]() == [ARTICLE, *PAGES]
    for page in script["pages"]():
        text = page.read_text(encoding="utf-8")
        assert script["render"](page) == text, "run docs/figures/make_strategies.py"


def test_what_the_article_says_of_the_figures_is_so():
    """Its sentences would outlive a new measurement."""
    runs = json.loads((TOP / "docs" / "figures" / "compare.json").read_text(encoding="utf-8"))
    hot, spread = (each["strategies"] for each in runs.values())
    others = ("lock", "watch")
    for name in others:  # "about ten times as many as the other two"
        assert 7 < hot["lua"]["throughput"] / hot[name]["throughput"] < 14
        # "the slowest in a hundred takes more than a hundred times as long"
        assert hot[name]["latency"]["p99"] > 100 * hot[name]["latency"]["p50"]
        # "all three come close to their number of round trips"
        assert spread[name]["round_trips"] / spread[name]["statuses"]["ok"] < 2.1
    # "By watch most attempts are in vain, and some callers give up in the end"
    assert hot["watch"]["attempts"] > 2 * hot["watch"]["statuses"]["ok"]
    assert hot["watch"]["statuses"]["conflict"] > 0
    # "naive is the fastest ... It also lost most of what it handed out"
    assert hot["naive"]["throughput"] > hot["lua"]["throughput"]
    lost = int(re.search(r"lost (\d+)", hot["naive"]["verdict"])[1])
    assert lost > hot["naive"]["statuses"]["ok"] * hot["naive"]["settings"]["amount"] / 2
    # "Of the three, lua wins every line of every table"
    swept = json.loads((TOP / "docs" / "figures" / "sweeps.json").read_text(encoding="utf-8"))
    for cell in [*runs.values(), *swept["apart"]["cells"]]:
        rates = {name: cell["strategies"][name]["throughput"] for name in ("lua", *others)}
        assert max(rates, key=rates.get) == "lua"


def test_what_the_article_says_of_databases_is_so():
    figures = json.loads((TOP / "docs" / "figures" / "databases.json").read_text(encoding="utf-8"))
    hot, spread = (
        {(each["world"], each["strategy"]): each for each in figures["runs"] if each["setting"] == setting}
        for setting in ("one account", "1000 accounts")
    )
    memory, disk, postgres = dict.fromkeys(each["world"] for each in figures["runs"])

    def ratio(runs, one, other):
        return runs[one]["throughput"] / runs[other]["throughput"]

    # "all three lose more than half of their rate"
    for name in ("lua", "lock", "watch"):
        assert ratio(spread, (disk, name), (memory, name)) < 0.5
    # "atomic on PostgreSQL then does about as many as lock and watch, and more than half as many as lua"
    for name in ("lock", "watch"):
        assert 0.75 < ratio(spread, (postgres, "atomic"), (disk, name)) < 1.33
    assert ratio(spread, (postgres, "atomic"), (disk, "lua")) > 0.5
    # "lua is several times ahead there"; "for_update does clearly less than atomic"
    assert ratio(hot, (disk, "lua"), (postgres, "atomic")) > 4
    assert ratio(hot, (postgres, "for_update"), (postgres, "atomic")) < 0.75
    # "By version and serializable every second attempt is in vain, and some give up"
    for name in ("version", "serializable"):
        run = hot[postgres, name]
        assert run["attempts_per_success"] > 1.9
        assert run["statuses"]["conflict"] > 0
