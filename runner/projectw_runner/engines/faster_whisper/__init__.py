"""Whisper by faster-whisper: the same weights, computed by CTranslate2. An extra, imported only when it is asked for.

The data flow through the modules: ``conversion`` makes of OpenAI's checkpoint the folder that CTranslate2 reads, with
the tokens of ``vocabulary``; ``loading`` brings it to a device; ``windows`` cuts the recording where nobody speaks,
``speech`` knows where that is; ``decoding`` writes a batch of windows down, ``words`` finds where each word was said,
``cutting`` makes segments of them; ``transcription`` is one recording's way through these, ``engine`` the loop.
"""
