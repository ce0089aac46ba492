"""Writes redislock/_core.pyi: what pybind11-stubgen sees, made fit for mypy and stubtest.

Run by the build with the folder that holds the package with the module, and the folder to write
to. Knows nothing of what the module contains.
"""

import enum
import importlib
import re
import sys
from pathlib import Path

import pybind11_stubgen

NAME = "redislock._core"
METACLASS = "class _pybind11_type(type): ...\n\n"
INIT = "    def __init__({}) -> None:\n        ...\n"
IS_BASE = 1 << 10  # Py_TPFLAGS_BASETYPE: may be subclassed


def main(stage: str, stubs: str) -> None:
    """Import the module from `stage` and write its stub below `stubs`."""
    # Prepended, so that pip's isolated build environment stays reachable behind it.
    sys.path.insert(0, stage)
    pybind11_stubgen.main([NAME, "--exit-code", "-o", stubs])
    stub = Path(stubs, *NAME.split(".")).with_suffix(".pyi")
    stub.write_text(fit(stub.read_text(encoding="utf-8")), encoding="utf-8")


def fit(text: str) -> str:
    """Mend what stubgen makes up, leaves out or writes as type checkers do not read it."""
    # The module has no __all__; an unhashable class is written as typeshed writes it.
    text = re.sub(r"(?m)^__all__\b.*\n", "", text)
    text = re.sub(
        r"(?m)^( +__hash__: typing\.ClassVar\[None\]) = None$",
        r"\1  # type: ignore[assignment]",
        text,
    )
    for name, value in vars(importlib.import_module(NAME)).items():
        if not isinstance(value, type):
            continue
        if issubclass(value, enum.Enum):
            text = re.sub(rf"(?m)^(class {name}\(.*\):\n)(?:    .*\n)+", rf"\1{members(value)}", text)
        else:
            text = complete(text, name, value)
    text = re.sub(r"(?m)^ *def .*$", lambda found: with_arguments(found.group()), text)
    text, classes = re.subn(r"(?m)^class (\w+):$", with_metaclass, text)
    return re.sub(r"(?m)^(?=@typing\.final$|class )", METACLASS, text, count=1) if classes else text


def complete(text: str, name: str, cls: type) -> str:
    """Say that a class is final, and how one without a constructor refuses to be made."""
    head = re.search(rf"(?m)^class {name}\b.*:\n(?:    .*\n|\n)*", text)
    if head is None:
        return text
    body = head.group()
    if "def __init__" not in body:
        init = INIT.format("self" if is_plain(cls) else "self, *args: typing.Any, **kwargs: typing.Any")
        body, added = re.subn(r"(?m)^(    def |    @property)", init + r"\1", body, count=1)
        body += "" if added else init
    if not cls.__flags__ & IS_BASE:
        body = "@typing.final\n" + body
    return text[: head.start()] + body + text[head.end() :]


def with_metaclass(head: re.Match[str]) -> str:
    """Name pybind11's metaclass where a class without a base has it."""
    cls = getattr(importlib.import_module(NAME), head.group(1))
    return head.group() if is_plain(cls) else f"class {head.group(1)}(metaclass=_pybind11_type):"


def is_plain(cls: type) -> bool:
    """Whether this class is none of pybind11's, but made by hand."""
    return type(cls) is type


def with_arguments(line: str) -> str:
    """Give bare containers the arguments that mypy --strict demands."""
    line = re.sub(r"\bdict\b(?!\[)", "dict[str, typing.Any]", line)
    line = re.sub(r"\btuple\b(?!\[)", "tuple[typing.Any, ...]", line)
    return re.sub(r"(?<!def )\b(list|Iterable)\b(?!\[)", r"\1[typing.Any]", line)


def members(cls: type[enum.Enum]) -> str:
    """Write the members as assignments: annotated ones are no members to a type checker."""
    lines = [f"{name} = {member.value!r}" for name, member in cls.__members__.items()]
    if hasattr(cls, "__pybind11_native_enum__"):
        lines.append("__pybind11_native_enum__: typing.ClassVar[object]")
    return "".join(f"    {line}\n" for line in lines)


if __name__ == "__main__":
    main(*sys.argv[1:])
