"""OpenAI's Whisper: its model and its decoding, with a loop over windows that is ours.

The data flow through the modules: ``loading`` brings the weights, ``levels`` knows how loud the samples were,
``windows`` cuts them, ``hearing`` makes the encoder's view of a window, ``decoding`` its tokens, ``splitting``
segments of them, ``words`` their words; ``context`` gives the next window its prompt, ``engine`` is the loop.
"""

import os


def calm_threads() -> None:
    """Make torch's idle threads sleep instead of spin; call it before torch is imported for the first time.

    On a machine that does other work as well, spinning threads cost more than ten times the work itself.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
