"""OpenAI's Whisper: its model and its decoding, with a loop over windows that is ours.

The data flow through the modules: ``loading`` brings the weights, for which ``arithmetic`` finds the quickest numbers;
``speech`` tells where someone speaks and ``windows`` cuts there; ``hearing`` makes spectrograms, ``encoder`` states of
them, ``decoder`` the chances of the next token, of which ``rules`` leave those that may come and ``searching`` takes
one; ``decoding`` does so again where that went wrong, ``splitting`` makes segments of the tokens and ``words`` places
their words. ``transcription`` takes a batch of windows through all of it, ``engine`` is the loop over batches.
"""

import ctypes
import os


def calm_threads() -> None:
    """Make torch's idle threads sleep instead of spin; call it before torch is imported for the first time.

    On a machine that does other work as well, spinning threads cost more than ten times the work itself.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_HUGE = 1 << 30
_LARGE = 32 << 20


def keep_memory() -> None:
    """Let the C library keep pieces of memory up to 32 MB for the next use, and not give each back to the system.

    Every product of a layer takes one anew, and having its pages made takes longer than the product. What lies unused
    between them is given back by ``give_back_memory``. Does nothing but on the GNU library.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt") and hasattr(library, "malloc_trim"):
        library.mallopt(_ARENA_MAX, 1)
        library.mallopt(_MMAP_THRESHOLD, _LARGE)
        library.mallopt(_TRIM_THRESHOLD, _HUGE)


def give_back_memory() -> None:
    """Give the system back what the C library has kept."""
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
