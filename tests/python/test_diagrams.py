"""The pictures in docs/diagrams are those of their sources, which say what is really sent. No Java needed."""

import json
import re
import runpy
import struct
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from redislock import _race

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


def commands_drawn(source):
    """Return who sends which commands, message by message, up to the first separator."""
    story = source.read_text(encoding="utf-8").split("\n== ")[0]
    return [
        (who, tuple(re.findall(r"(?:^|; |\\n)([A-Z]+)\b", said.replace('""', ""))))
        for who, said in re.findall(r"^([AB]) -> R: (.+)$", story, re.MULTILINE)
    ]


@pytest.mark.parametrize("strategy", ["naive", "lua", "lock", "watch"])
def test_the_picture_is_what_goes_over_the_wire(strategy):
    race = _race.run("memory://", strategy=strategy, balance=5, amount=3, buyers=2)
    sent = [(step.buyer, tuple(each.split()[0] for each in step.sent)) for step in race.steps]
    assert commands_drawn(DIAGRAMS / f"{strategy}.puml") == sent
