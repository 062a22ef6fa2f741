"""Files that were made to harm, for the benchmark and for the tests: about 150 of them, all made by code."""

from typing import Final

from benchmarks.evil.bombs import BOMBS
from benchmarks.evil.damaged import DAMAGED, ODD_NAMES
from benchmarks.evil.references import REFERENCES
from benchmarks.evil.stage import Evil, Stage, stage
from benchmarks.evil.streams import STREAMS

EVIL: Final[dict[str, Evil]] = {**REFERENCES, **BOMBS, **STREAMS, **DAMAGED}

__all__ = ["EVIL", "ODD_NAMES", "Evil", "Stage", "stage"]
