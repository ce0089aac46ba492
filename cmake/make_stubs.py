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
        if isinstance(value, type) and issubclass(value, enum.Enum):
            text = re.sub(
                rf"(?m)^(class {name}\(.*\):\n)(?:    .*\n)+", rf"\1{members(value)}", text
            )
    # A bound class without a base has pybind11's metaclass.
    text, classes = re.subn(r"(?m)^( *class \w+):$", r"\1(metaclass=_pybind11_type):", text)
    return re.sub(r"(?m)^(?=class )", METACLASS, text, count=1) if classes else text


def members(cls: type[enum.Enum]) -> str:
    """Write the members as assignments: annotated ones are no members to a type checker."""
    lines = [f"{name} = {member.value!r}" for name, member in cls.__members__.items()]
    if hasattr(cls, "__pybind11_native_enum__"):
        lines.append("__pybind11_native_enum__: typing.ClassVar[object]")
    return "".join(f"    {line}\n" for line in lines)


if __name__ == "__main__":
    main(*sys.argv[1:])
