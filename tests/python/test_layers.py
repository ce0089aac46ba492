"""The layers hold: each may use only what stands left of it, in C++ and in Python."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"
PACKAGE = ROOT / "python" / "redislock"

LAYERS = [
    ["types"],
    ["wire"],
    ["engine"],
    ["accounts", "coordination", "locks"],
    ["memory", "stock"],
    ["load"],
    ["bindings"],
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

# Libraries, and the one layer that may name their headers.
HOMES = {
    "hiredis": "wire",
    "openssl": "wire",
    "pybind11": "bindings",
    "Python.h": "bindings",
    "lua.h": "memory",
    "lualib.h": "memory",
    "lauxlib.h": "memory",
}

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)


def faults_of(layer, text):
    """What a file of this layer includes and must not."""
    for quoted, angled in INCLUDE.findall(text):
        used = quoted.split("/")[0]
        if quoted and used not in RANK:
            yield f"{quoted} is in no layer"
        elif quoted and used != layer and RANK[used] >= RANK[layer]:
            yield f"{layer} includes {quoted}"
        for library, home in HOMES.items():
            if (quoted or angled).startswith(
                (library, f"{home}/{library.removesuffix('.h')}.")
            ) and layer != home:
                yield f"{layer} includes {quoted or angled}"


def sources():
    return [each for each in sorted(SRC.rglob("*")) if each.suffix in (".cpp", ".hpp")]


def test_every_file_is_in_a_layer():
    assert len(sources()) > 50
    assert {each.relative_to(SRC).parts[0] for each in sources()} <= set(RANK)


@pytest.mark.parametrize("layer", [name for names in LAYERS for name in names])
def test_a_layer_includes_only_what_stands_left_of_it(layer):
    faults = {
        str(each.relative_to(SRC)): found
        for each in sources()
        if each.relative_to(SRC).parts[0] == layer
        and (found := list(faults_of(layer, each.read_text(encoding="utf-8"))))
    }
    assert faults == {}


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        ("types", '#include "wire/reply.hpp"'),
        ("engine", '#include "accounts/account.hpp"'),
        ("accounts", '#include "locks/lease.hpp"'),
        ("locks", '#include "accounts/account.hpp"'),
        ("accounts", '#include "memory/server.hpp"'),
        ("memory", '  #  include "load/draw.hpp"'),
        ("load", '#include "bindings/bindings.hpp"'),
        ("engine", "#include <hiredis/hiredis.h>"),
        ("engine", '#include "wire/hiredis.hpp"'),
        ("bindings", "#include <openssl/ssl.h>"),
        ("load", "#include <pybind11/pybind11.h>"),
        ("bindings", "#include <lua.h>"),
        ("load", '#include "memory/lua.hpp"'),
        ("types", '#include "elsewhere/thing.hpp"'),
    ],
)
def test_what_is_forbidden_would_be_found(layer, text):
    assert list(faults_of(layer, f"#pragma once\n{text}\n"))


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        ("wire", '#include "wire/hiredis.hpp"\n#include <hiredis/hiredis_ssl.h>\n#include "types/error.hpp"'),
        ("memory", '#include "accounts/scripts.hpp"\n#include "locks/lease.hpp"'),
        ("bindings", '#include <pybind11/stl.h>\n#include "types/amount.hpp"\n#include <vector>'),
    ],
)
def test_what_is_allowed_is_not(layer, text):
    assert not list(faults_of(layer, text))


def test_headers_do_not_pass_hiredis_on():
    for each in sources():
        if each.suffix == ".hpp" and each.name != "hiredis.hpp":
            assert "hiredis/" not in each.read_text(encoding="utf-8"), each


# The core never reads the environment, never parses arguments and never prints.
TALKATIVE = re.compile(
    r"\b(?:getenv|secure_getenv|getopt|printf|fprintf|puts|perror)\s*\(|std::(?:cout|cerr)"
)


def test_the_core_reads_no_environment_and_prints_nothing():
    found = {
        f"{each.relative_to(SRC)}: {match.group()}"
        for each in sources()
        for match in TALKATIVE.finditer(each.read_text(encoding="utf-8"))
    }
    assert found == set()
    assert TALKATIVE.search("std::printf(text);")
    assert not TALKATIVE.search("std::snprintf(text, sizeof text, format);")


# --- Python -------------------------------------------------------------------------------------

# _settings reads what the clients need; a server that is started is handed the environment on; libpq
# reads PGHOST by itself, and an error is to name the host that it took.
READERS = {"_settings.py", "_server.py", "sql/_postgres_server.py", "sql/_session.py"}


def reads_environment(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb"):
            yield node.lineno
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            names = {each.name for each in node.names}
            if names & {"environ", "getenv", "environb"}:
                yield node.lineno


def test_the_environment_is_read_in_few_places():
    readers = {
        str(each.relative_to(PACKAGE))
        for each in PACKAGE.rglob("*.py")
        if list(reads_environment(each.read_text(encoding="utf-8")))
    }
    assert {each for each in readers if not each.startswith("cli/")} <= READERS
    assert "_settings.py" in readers
    for text in ["import os\nos.environ['X']", "from os import getenv", "import os as o\no.getenv('X')"]:
        assert list(reads_environment(text))


def test_the_package_does_not_know_what_is_built_on_it():
    above = {"cli", "locust", "load", "plots", "_sweep", "__main__"}
    below = set(PACKAGE.glob("*.py")) - {PACKAGE / f"{name}.py" for name in above}
    assert len(below) > 8
    for each in below:
        for node in ast.walk(ast.parse(each.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names:
                parts = name.split(".")
                assert not (parts[0] == "redislock" and set(parts[1:2]) & above), f"{each.name}: {name}"
