"""docs/sql.md keeps its word: its snippets run in order and print what they say; each strategy is there."""

from pathlib import Path

from pages import run_snippets, snippets

from redislock import sql

PAGE = (Path(__file__).parents[2] / "docs" / "sql.md").read_text(encoding="utf-8")


def test_the_snippets_print_what_they_say():
    assert snippets(PAGE)
    run_snippets(PAGE)


def test_every_strategy_is_named():
    assert all(f"| `{name}` |" in PAGE for name in sql.STRATEGIES)
