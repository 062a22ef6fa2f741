"""How strong a password must be, and in what words a weak one is refused."""

from collections.abc import Iterator

import pytest

from projectw_server.accounts.strength import ADVICE, JUDGED_CHARACTERS, Strength, weakness_of
from projectw_shared.errors import Invalid, WeakPassword

EMAIL = "ada.lovelace@example.org"


@pytest.fixture
def strength() -> Iterator[Strength]:
    strength = Strength(3)
    yield strength
    strength.close()


@pytest.mark.parametrize(
    ("password", "what"),
    [
        ("password1", "words or passwords that are often used"),
        ("P4$$w0rd!", "words or passwords that are often used"),
        ("qwertyuiop", "often used|keys of a keyboard"),
        ("aaaaaaaaaaaaaaaa", "repeats itself"),
        ("abcabcabcabcabc", "repeats itself"),
        ("abcdefghijklm", "sequence"),
        ("1987-04-23", "date"),
        ("lovelace.ada", "your e-mail address"),
        ("ada.lovelace@example.org", "your e-mail address"),
        ("example.org", "your e-mail address"),
    ],
)
async def test_a_password_that_would_be_guessed_is_refused_with_what_is_wrong_and_what_would_be_right(
    strength: Strength, password: str, what: str
) -> None:
    with pytest.raises(WeakPassword, match=what) as refused:
        await strength.check(password, EMAIL)
    assert ADVICE in refused.value.detail
    assert password not in refused.value.detail


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "dK3_vq-91xRw",
        "gebäude lampe sieben wolken",
        "ünïcödé-пароль-密码",
        "a" * 400 + "tangerine-moth-violin-38",
        "tangerine-moth-violin-38" + "a" * 400,
    ],
)
async def test_a_password_that_would_not_be_guessed_is_taken_whatever_its_characters(
    strength: Strength, password: str
) -> None:
    await strength.check(password, EMAIL)


async def test_what_a_stranger_knows_of_somebody_else_is_no_weakness(strength: Strength) -> None:
    assert weakness_of("xylograph.quince", "xylograph.quince@example.org", 3)
    assert weakness_of("xylograph.quince", EMAIL, 3) is None


@pytest.mark.parametrize("password", ["", "seven77", "x" * 1025, "é" * 513])
async def test_the_length_rule_holds_whatever_the_strength(password: str) -> None:
    lenient = Strength(0)
    with pytest.raises(Invalid, match="at least 8 characters and at most 1024 bytes") as refused:
        await lenient.check(password, EMAIL)
    assert not isinstance(refused.value, WeakPassword)
    lenient.close()


async def test_a_minimum_of_zero_takes_every_password_that_is_long_enough() -> None:
    lenient = Strength(0)
    await lenient.check("password", EMAIL)
    lenient.close()


@pytest.mark.parametrize("evil", ["4@8({[<369&#1!|70$5+7%2" * 40, "5+[+({7<2$92[[@<{14164!|" * 40])
def test_only_a_bounded_part_of_a_password_is_judged(evil: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import zxcvbn

    judged: list[str] = []
    original = zxcvbn.zxcvbn

    def spy(password: str, **options: object) -> object:
        judged.append(password)
        return original(password, **options)

    monkeypatch.setattr(zxcvbn, "zxcvbn", spy)
    weakness_of(evil, EMAIL, 4)
    assert judged
    assert len(judged) <= 2
    assert max(map(len, judged)) <= JUDGED_CHARACTERS
