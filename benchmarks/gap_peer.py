"""All that ``whisper FILE…`` does before it computes, for ``gap``: prints when it could begin with each file, as JSON.

``python -m benchmarks.gap_peer CHECKPOINT FILE…``, with an ``ffmpeg`` on the PATH.
"""

import json
import sys
import time


def main() -> None:
    """Import, load the weights, decode each file."""
    import whisper

    checkpoint, *files = sys.argv[1:]
    whisper.load_model(checkpoint, device="cpu")
    ready = []
    for file in files:
        whisper.load_audio(file)
        ready.append(time.monotonic())
    print(json.dumps(ready))


if __name__ == "__main__":
    main()
