"""Texts that would drive a terminal, deceive a reader or act on a program, and honest ones that look like them.

Each evil one carries ``MARK`` where it can, so that a test finds out where it has come to.
"""

import os
from typing import Final

MARK: Final = "EVIL"

_TERMINAL: Final = {
    "clear the screen": "\x1b[2J\x1b[HEVIL.wav",
    "colours": "\x1b[31;5mEVIL.wav",
    "colours by ITU's rules": "\x1b[38:2::255:0:0mEVIL.wav",
    "cursor up, and over what stood there": "EVIL\x1b[1A\x1b[2KSigned in as root",
    "scroll region": "\x1b[5;6rEVIL",
    "other screen": "\x1b[?1049hEVIL",
    "mouse reports": "\x1b[?1003;1006hEVIL",
    "title": "\x1b]0;EVIL\x07.wav",
    "title with the long end": "\x1b]2;EVIL\x1b\\.wav",
    "clipboard set": "\x1b]52;c;RVZJTA==\x07EVIL.wav",
    "clipboard asked": "\x1b]52;c;?\x07EVIL.wav",
    "link": "\x1b]8;;https://evil.example/EVIL\x1b\\click\x1b]8;;\x1b\\",
    "palette": "\x1b]4;0;#ffffff\x07EVIL",
    "device control": "\x1bPEVIL\x1b\\.wav",
    "setting asked": "\x1bP$qm\x1b\\EVIL",
    "terminfo asked": "\x1bP+q544e\x1b\\EVIL",
    "sixel": "\x1bPq#0;2;0;0;0#0~~@@EVIL\x1b\\",
    "application command": "\x1b_GEVIL\x1b\\.wav",
    "privacy message": "\x1b^EVIL\x1b\\.wav",
    "start of string": "\x1bXEVIL\x1b\\.wav",
    "a string without an end": "\x1b]0;EVIL",
    "8-bit CSI": "\x9b31mEVIL.wav",
    "8-bit OSC": "\x9d0;EVIL\x9c.wav",
    "8-bit DCS, PM, APC, SOS": "\x90EVIL\x9c\x9eEVIL\x9c\x9fEVIL\x9c\x98EVIL\x9c",
    "index and reverse index": "\x1bD\x1bM\x84\x8dEVIL",
    "reset": "\x1bcEVIL.wav",
    "other alphabet": "\x1b(0EVIL\x0eEVIL\x0f",
    "end of a paste": "\x1b[201~rm -rf ~\rEVIL",
    "paste mode off": "\x1b[?2004lEVIL",
    "place asked": "\x1b[6nEVIL\x1b[c\x1b[>q",
    "answerback": "EVIL\x05\x05.wav",
    "bell": "EVIL\x07\x07.wav",
    "backspaces": "EVIL\x08\x08\x08\x08good.wav",
    "return to the start of the line": "EVIL.exe\rgood.wav",
    "delete": "EVIL\x7f\x7f.wav",
    "tabs": "EVIL\t\t\t.wav",
    "vertical tab and form feed": "EVIL\x0b\x0c.wav",
    "NUL": "EVIL\x00.wav",
    "a lone escape at the end": "EVIL.wav\x1b",
}

_READER: Final = {
    "override to the left": "EVIL\u202egnp.exe",
    "override to the right": "\u202dEVIL\u202c",
    "isolates": "EVIL\u2066\u2067gnp.\u2069exe\u2069",
    "marks of direction": "EVIL\u200e\u200f\u061c.wav",
    "of no width": "E\u200bV\u200bI\u200bL\u2060\ufeff EVIL.wav",
    "soft hyphen": "EV\u00adIL EVIL.wav",
    "tags": "EVIL\U000e0045\U000e0056\U000e0049\U000e004c\U000e007f.wav",
    "selectors of variants": "EVIL" + "".join(map(chr, range(0xFE00, 0xFE10))) + "\U000e0100.wav",
    "combining flood": "EVIL" + "\u0301" * 10_000 + ".wav",
    "enclosing flood": "EVIL" + "\u20dd\u0489" * 2_000,
    "wide": "EVIL" + "\uff37\u5bbd" * 40 + ".wav",
    "of ambiguous width": "EVIL" + "\u00a7\u2460\u2605" * 30,
    "emoji of several parts": "EVIL\U0001f469\u200d\U0001f4bb\U0001f468\u200d\U0001f469\u200d\U0001f467 1\ufe0f\u20e3",
    "no characters": "EVIL\ufdd0\ufffe\uffff\U0001ffff\U0010fffe.wav",
    "separators of lines and paragraphs": "EVIL\u2028EVIL\u2029EVIL\x85EVIL",
    "fillers": "EVIL\u3164\u115f\uffa0\u2800.wav",
    "annotations": "EVIL\ufff9EVIL\ufffaEVIL\ufffb",
    "spaces at the end": "EVIL.wav" + " " * 60,
    "only spaces": " \u00a0\u2003\u3000 ",
    "without a space": "EVIL" + "x" * 10_000,
    "private use": "EVIL\ue000\U000f0000.wav",
}

_PROGRAM: Final = {
    "Rich markup": "[bold red]EVIL[/bold red].wav",
    "markup without a beginning": "[/nope]EVIL.wav",
    "markup without an end": "[bold EVIL.wav",
    "action by markup": "[@click=app.quit]EVIL[/].wav",
    "action by old markup": "[@click=app.bell()]EVIL[/]",
    "link by markup": "[link=https://evil.example]EVIL[/link]",
    "link by new markup": "[link='https://evil.example']EVIL[/]",
    "variables of a style": "[$error on $primary]EVIL $accent[/]",
    "escaped markup": "\\[bold]EVIL\\[/bold]\\",
    "a markup's brackets, many": "[[[[[[[[EVIL]]]]]]]]" * 20,
    "emoji by name": ":skull: EVIL :smiley:",
    "percent format": "%s%n%d%(name)s EVIL %",
    "brace format": "{0}{a.__class__.__init__.__globals__} EVIL {{}",
    "shell": "$(reboot) `reboot` ; reboot | EVIL & ~",
    "option": "--EVIL=--yes",
    "way up": "../../../../etc/EVIL",
    "way up on Windows": "..\\..\\EVIL\\C:\\con",
    "HTML": "<script>alert('EVIL')</script><img src=x onerror=alert(1)>",
    "JavaScript": "javascript:alert('EVIL')",
    "YAML": "EVIL: !!python/object/apply:os.system ['id']\n- *x\n--- &x",
    "JSON": '","state":"succeeded","x":"EVIL"}\\u0000\\',
    "patterns of SQL": "%_EVIL'; DROP TABLE jobs; --",
    "a line of log": "EVIL\n2026-01-01T00:00:00.000000Z [info     ] admin signed in user=root",
    "a line of log in JSON": 'EVIL\n{"event": "admin signed in", "level": "info"}',
    "a prompt": "EVIL\nDelete everything? [y/N]: y\n$ ",
    "a row of a table": "EVIL\r\n019ab000-0000-7000-8000-000000000000  done        100%",
    "header": "EVIL\r\nSet-Cookie: a=b\r\n\r\n<html>",
}

EVIL: Final = {**_TERMINAL, **_READER, **_PROGRAM}

NOT_IN_JSON: Final = {"lone surrogates": "EVIL\ud83d\udc80\udcff.wav"}
"""What no document of a server can hold, but a file name and an argument."""

A_MILLION: Final = "EVIL " + "word " * 200_000

HONEST: Final = {
    "Arabic": "مقابلة مع العائلة ١٢.wav",
    "Hebrew with points": "בְּרֵאשִׁית.wav",
    "Persian with its joiner": "می\u200cخواهم.wav",
    "Hindi with a joiner": "क\u094d\u200dष.wav",
    "Tibetan": "\u0f67\u0f90\u0fb5\u0fa8\u0fb3\u0fba\u0fbc\u0fbb\u0f82.wav",
    "Vietnamese": "Cuộc phỏng vấn.wav",
    "Japanese": "インタビュー（第1回）.wav",
    "accents apart": "cafe\u0301 Zu\u0308rich.wav",
    "brackets and dollars": "[final] take 2 ($5).wav",
    "a heart": "\u2764\ufe0f.wav",
}


SHARE: Final = 15
"""Of the texts a screen or a command meets one in so many, each others: all of them together, and in minutes."""

EVERY: Final = bool(os.environ.get("PROJECTW_EVERY_TEXT"))
"""Set, every screen and every command meets every text, which takes the better part of an hour."""


def chosen(texts: dict[str, str], number: int) -> dict[str, str]:
    """Return those of ``texts`` that the screen or command of that number meets."""
    return texts if EVERY else dict(list(texts.items())[number % SHARE :: SHARE])
