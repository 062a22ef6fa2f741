"""What is asked on the command line."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.engines import contenders
from benchmarks.engines.contenders import Contender
from projectw_shared.jobs import MODELS
from projectw_shared.languages import LANGUAGES

QUICK_CLIPS: Final = 3


@dataclass(frozen=True)
class Options:
    """The whole of it, checked. ``clips`` is how many recordings are taken at most, None for all."""

    contenders: tuple[Contender, ...]
    folder: Path | None
    only: tuple[str, ...]
    model: str
    models_dir: Path | None
    random: bool
    device: str
    language: str
    threads: int
    rounds: int
    clips: int | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--folder", type=_folder, metavar="DIR", help="recordings, with a .txt of what is said beside each")
    add("--only", action="append", default=[], metavar="GLOB", help="of those, only the ones that fit")
    add(
        "--model", default="tiny.en", choices=MODELS, metavar="NAME", help="the checkpoint (default: tiny.en)"
    )
    add("--models-dir", type=Path, metavar="DIR", help="where <name>.pt lies (default: the runner's cache)")
    add(
        "--random-weights",
        choices=MODELS,
        metavar="NAME",
        help="weights of chance in this model's shape, for the speed alone",
    )
    add(
        "--contenders",
        type=_contenders,
        metavar="A,B,…",
        help=f"of {', '.join(contenders.KNOWN)} (default: all without words, few if quick)",
    )
    add(
        "--batch-size",
        type=_counts,
        default=(),
        metavar="1,2,…",
        help="ours with each of these batches as well",
    )
    add("--device", default="auto", help="auto, cpu, cuda or cuda:1 (default: auto)")
    add("--language", default="en", choices=LANGUAGES, metavar="CODE", help="what is spoken (default: en)")
    add("--threads", type=_count, default=1, metavar="N", help="of each contender on the CPU (default: 1)")
    add("--rounds", type=_count, metavar="N", help="times that each does each recording (default: 3)")


def checked(namespace: argparse.Namespace) -> Options:
    """Return the options of a parsed command line; ``--quick`` means one round over few recordings."""
    quick: bool = namespace.quick
    random: str | None = namespace.random_weights
    default = contenders.RANDOM if random else contenders.QUICK if quick else contenders.DEFAULT
    chosen: tuple[Contender, ...] = namespace.contenders or tuple(map(contenders.parse, default))
    batched = (contenders.parse(f"ours@{size}") for size in namespace.batch_size)
    return Options(
        contenders=tuple(dict.fromkeys((*chosen, *batched))),
        folder=namespace.folder,
        only=tuple(namespace.only),
        model=random or namespace.model,
        models_dir=namespace.models_dir,
        random=random is not None,
        device=namespace.device,
        language=namespace.language,
        threads=namespace.threads,
        rounds=namespace.rounds or (1 if quick else 3),
        clips=QUICK_CLIPS if quick else None,
    )


def _contenders(text: str) -> tuple[Contender, ...]:
    try:
        return tuple(contenders.parse(name.strip()) for name in text.split(","))
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from wrong


def _counts(text: str) -> tuple[int, ...]:
    return tuple(map(_count, text.split(",")))


def _count(text: str) -> int:
    if not text.strip().isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 1 or more")
    return int(text)


def _folder(text: str) -> Path:
    folder = Path(text)
    if not folder.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {text}")
    return folder
