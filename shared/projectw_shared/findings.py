"""What a program's ``doctor`` has found: each thing looked at, and how to mend it."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from projectw_shared.exits import Exit
from projectw_shared.text import safe


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at. ``remedy`` says what to do when it is not ``ok``."""

    check: str
    status: Literal["ok", "warn", "fail"]
    message: str
    remedy: str = ""
    exit: Exit = Exit.DONE


def ok(check: str, message: str) -> Finding:
    """Return a finding that needs nothing done."""
    return Finding(check, "ok", message)


def warn(check: str, message: str, remedy: str) -> Finding:
    """Return a finding with which the program works, but not as well as it could."""
    return Finding(check, "warn", message, remedy)


def fail(check: str, message: str, remedy: str, code: Exit = Exit.FAILED) -> Finding:
    """Return a finding with which the program does not work, or should not."""
    return Finding(check, "fail", message, remedy, code)


def verdict(findings: Iterable[Finding]) -> Exit:
    """Return the code to leave with: that of the failures if they agree, else 1; 0 without any."""
    codes = {finding.exit for finding in findings if finding.status == "fail"}
    if not codes:
        return Exit.DONE
    return codes.pop() if len(codes) == 1 else Exit.FAILED


def render(finding: Finding) -> str:
    """Return ``finding`` for people, harmless in a terminal, its remedy on a line of its own."""
    lines = [f"{finding.status:<5} {finding.check:<12} {safe(finding.message)}"]
    if finding.status != "ok":
        lines.append(f"{'':<18} → {safe(finding.remedy)}")
    return "\n".join(lines)
