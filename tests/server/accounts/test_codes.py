"""Codes that are sent by mail."""

import re

import pytest

from projectw_server.accounts.codes import ALPHABET, digest, new_code


def test_a_code_has_140_random_bits_and_a_prefix_that_scanners_know() -> None:
    codes = {new_code() for _ in range(200)}
    assert len(codes) == 200
    for code in codes:
        assert re.fullmatch(r"pwm_([0-9a-hjkmnp-tv-z]{4}-){6}[0-9a-hjkmnp-tv-z]{4}", code)
    assert len(ALPHABET) == 32
    assert {character for code in codes for character in code[4:]} == {*ALPHABET, "-"}


@pytest.mark.parametrize(
    "typed",
    [
        "pwm_4k2t-9xqd-0abc-1def-ghjk-mnpq-rstv",
        "  PWM_4K2T-9XQD-0ABC-1DEF-GHJK-MNPQ-RSTV\n",
        "4k2t9xqd0abc1defghjkmnpqrstv",
        "pwm_4k2t 9xqd 0abc 1def ghjk mnpq rstv",
        "pwm_4k2t-9xqd-oabc-Idef-ghjk-mnpq-rstv",
        "pwm_4k2t-9xqd-Oabc-ldef-ghjk-mnpq-rstv",
        "pwm_4k2t-9xqd-0abc-\n1def-ghjk-mnpq-rstv",
    ],
)
def test_a_code_is_known_however_it_was_typed(typed: str) -> None:
    assert digest(typed) == digest("pwm_4k2t-9xqd-0abc-1def-ghjk-mnpq-rstv")


@pytest.mark.parametrize(
    "other", ["", "pwm_", "\x00", "\ud800", "x" * 5000, "pwm_4k2t-9xqd-0abc-1def-ghjk-mnpq-rstw"]
)
def test_what_is_another_code_or_none_has_another_hash(other: str) -> None:
    assert digest(other) != digest("pwm_4k2t-9xqd-0abc-1def-ghjk-mnpq-rstv")
