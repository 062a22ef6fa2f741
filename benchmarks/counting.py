"""Whether the time of an answer tells which addresses have an account: pairs of tries, medians and a rank test.

Known and unknown addresses take turns, which of a pair comes first is left to chance. Each account is tried once, and
from several addresses of the loopback, so that no limit speaks. The server sends its mails to a mail server beside it,
so that what is done for known addresses after the answer is there too.
"""

import asyncio
import http.client
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.accounts.population import settle
from benchmarks.accounts.ranks import p_value
from benchmarks.load import separate_core
from benchmarks.report import Report
from deploy.installation import Installation
from projectw_server.accounts.codes import new_code
from projectw_shared import routes

PAIRS, QUICK_PAIRS = 200, 30
WARM_UP = 5
PLACES = 16
"""Addresses of the loopback from which is asked."""

PASSWORD = "violin-tangerine-moth-38"
Try = Callable[[int, bool], tuple[str, dict[str, str], int]]
"""From the number of a pair, and whether the known one of it is meant: path, body, and the status that is right."""


def run(quick: bool) -> Report:
    """Measure each door; the whole run takes about two minutes."""
    pairs = QUICK_PAIRS if quick else PAIRS
    report = Report(
        "Counting: what the time of an answer tells of an address",
        ["door", "pairs", "known median ms", "unknown median ms", "known to unknown", "p (Mann-Whitney)"],
    )
    codes = [new_code() for _ in range(pairs + WARM_UP)]
    with (
        tempfile.TemporaryDirectory(prefix="projectw-counting-") as folder,
        _sink() as port,
        separate_core() as core,
    ):
        emails = [_email(door, number) for door in DOORS for number in range(pairs + WARM_UP)]
        asyncio.run(settle(Path(folder) / "data", emails, PASSWORD, old_codes=codes))
        installation = Installation(
            Path(folder),
            server={
                "signup": "open",
                "smtp_host": "127.0.0.1",
                "smtp_port": port,
                "smtp_security": "plain",
                "mail_from": "projectw@example.org",
                "log_level": "warning",
            },
        )
        try:
            installation.serve(pin=core)
            for door, make in DOORS.items():
                known, unknown = _measure(installation.url, make(codes), pairs)
                report.add(
                    door, pairs, *(_median(times) for times in (known, unknown)),
                    _median(known) / _median(unknown), p_value(known, unknown),
                )  # fmt: skip
        finally:
            installation.close()
    report.notes += [
        "Login: a wrong password. Activation: codes that ran out (known), and codes that never were.",
        "A p below 0.01 says that the times differ; the goal for the medians of login is a difference under 5 %.",
    ]
    return report


def _email(door: str, number: int) -> str:
    return f"{door.partition(' ')[0]}-{number}@example.org"


def _login(_codes: list[str]) -> Try:
    def make(number: int, known: bool) -> tuple[str, dict[str, str], int]:
        email = _email("login", number) if known else f"nobody-{number}@example.org"
        return routes.LOGIN, {"email": email, "password": "a wrong password"}, 401

    return make


def _sign_up(_codes: list[str]) -> Try:
    def make(number: int, known: bool) -> tuple[str, dict[str, str], int]:
        email = _email("signup", number) if known else f"free-{number}@example.org"
        return routes.SIGNUP, {"email": email, "password": PASSWORD}, 202

    return make


def _reset(_codes: list[str]) -> Try:
    def make(number: int, known: bool) -> tuple[str, dict[str, str], int]:
        email = _email("reset", number) if known else f"nobody-{number}@example.org"
        return routes.PASSWORD_RESET, {"email": email}, 202

    return make


def _activation(codes: list[str]) -> Try:
    def make(number: int, known: bool) -> tuple[str, dict[str, str], int]:
        return routes.ACTIVATE, {"token": codes[number] if known else new_code()}, 400

    return make


DOORS: dict[str, Callable[[list[str]], Try]] = {
    "login": _login,
    "signup": _sign_up,
    "reset": _reset,
    "activation": _activation,
}


def _measure(url: str, make: Try, pairs: int) -> tuple[list[float], list[float]]:
    """Return the seconds of the known and of the unknown ones."""
    parts = urlsplit(url)
    connections = [
        http.client.HTTPConnection(
            parts.hostname or "", parts.port, timeout=60, source_address=(f"127.0.1.{place + 1}", 0)
        )
        for place in range(PLACES)
    ]
    times: tuple[list[float], list[float]] = ([], [])
    chance = random.Random(1)
    for number in range(pairs + WARM_UP):
        connection = connections[number % PLACES]
        for known in chance.sample((True, False), 2):
            seconds = _ask(connection, *make(number, known))
            if number >= WARM_UP:
                times[0 if known else 1].append(seconds)
    for connection in connections:
        connection.close()
    return times


def _ask(connection: http.client.HTTPConnection, path: str, body: dict[str, str], right: int) -> float:
    began = time.perf_counter()
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    seconds = time.perf_counter() - began
    if answer.status != right:
        raise RuntimeError(f"{path} answered {answer.status}, not {right}: {content[:300]!r}")
    return seconds


def _median(times: list[float]) -> float:
    return statistics.median(times) * 1000


@contextmanager
def _sink() -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.accounts.mail_sink"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
