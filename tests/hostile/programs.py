"""Commands of our programs run in one go on a pseudo-terminal: what each wrote, and how it ended."""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from tests.hostile.pseudo_terminal import on_a_terminal
from tests.hostile.sequences import Written, assert_harmless, take_apart

PLAIN: Final = {r"'\r'", r"'\n'"}
"""What a line of text ends with on a terminal."""

REASONABLE: Final = {0, 1, 2, 69, 77, 78, 130}
"""The exit codes that the programs have for what may happen."""


@dataclass(frozen=True)
class Step:
    """One command. ``tell`` is asked for before it, ``allowed`` are the control functions that it may use."""

    name: str
    words: Sequence[str]
    stdin: str | None = None
    tell: str | None = None
    allowed: frozenset[str] = frozenset()


async def run_all(
    main: str,
    imports: Iterable[str],
    steps: Sequence[Step],
    folder: Path,
    *,
    question: bytes = b"",
    size: tuple[int, int] = (100, 30),
    **environment: str,
) -> list[tuple[Step, int, Written]]:
    """Run ``steps`` and return for each how it ended and what it wrote. No is typed where ``question`` is asked."""
    plan = folder / "plan.json"
    documents = [{"words": step.words, "stdin": step.stdin, "tell": step.tell} for step in steps]
    plan.write_text(json.dumps({"main": main, "imports": list(imports), "steps": documents}))
    words = [sys.executable, "-m", "tests.hostile.batch", plan]
    async with on_a_terminal(
        words, cwd=folder, question=question, answer=b"n\n", size=size, **environment
    ) as terminal:
        code = await terminal.end(within=2500)
    output = bytes(terminal.output)
    assert code == 0, output[-2000:]
    found = re.findall(rb"=====begin (\d+)\r\n(.*?)=====end (\d+) (\d+)\r\n", output, re.DOTALL)
    assert [int(number) for number, *_ in found] == list(range(len(steps)))
    return [
        (step, int(code), take_apart(said)) for step, (_, said, _, code) in zip(steps, found, strict=True)
    ]


def assert_all_harmless(results: Iterable[tuple[Step, int, Written]]) -> None:
    for step, code, written in results:
        try:
            assert code in REASONABLE, (code, written.text[-2000:])
            assert_harmless(written, PLAIN | step.allowed)
        except AssertionError as error:
            raise AssertionError(
                f"{step.name}: {[ascii(word)[:80] for word in step.words]}: {error}"
            ) from None


def leaves(group: click.Group, above: str = "") -> Iterable[str]:
    """Yield the full name of every command, also of a group that does something by itself."""
    for name, command in group.commands.items():
        full = f"{above} {name}".strip()
        if isinstance(command, click.Group):
            yield from leaves(command, full)
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield full


def filled(words: Iterable[str], values: dict[str, Any]) -> list[str]:
    """Put ``values`` in for ``{text}`` and the like; an argument that no system takes loses its NULs."""
    return [re.sub(r"\{(\w+)\}", lambda found: values[found[1]], word).replace("\0", "") for word in words]
