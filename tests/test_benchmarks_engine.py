"""The comparison of engines: what it counts, whom it lets compute when, and one real run."""

import argparse
import json
import subprocess
import sys
import time
import wave
from pathlib import Path

import numpy as np
import pytest

from benchmarks import engine
from benchmarks.__main__ import main
from benchmarks.engines import busy, contenders, material, scores, tables
from benchmarks.engines.contenders import Contender
from benchmarks.engines.material import Recording
from benchmarks.engines.messages import Load
from benchmarks.engines.options import Options, add_arguments, checked
from benchmarks.engines.process import ContenderFailed, Process, environment
from benchmarks.engines.rounds import Outcome, Timing, turns
from benchmarks.engines.scores import Score
from benchmarks.engines.weights import TOKENS, Weights
from deploy.recordings import RecordingsMissing, cache, joined, librivox

# Who takes part


def test_a_name_says_which_engine_and_how() -> None:
    assert contenders.parse("ours-words").words
    assert contenders.parse("ours@16") == Contender("ours@16", "ours", batch=16)
    both = contenders.parse("faster-whisper-batched-int8@4")
    assert (both.program, both.precision, both.batch) == ("faster-whisper", "int8", 4)
    whole = contenders.parse("ours-float32@8")
    assert (whole.program, whole.precision, whole.batch) == ("ours", "float32", 8)


@pytest.mark.parametrize(
    "name", ["theirs", "", "ours@", "ours@0", "ours@-1", "openai-whisper@8", "faster-whisper@8"]
)
def test_a_name_that_means_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"contender|batch"):
        contenders.parse(name)


def test_words_are_compared_with_words() -> None:
    assert contenders.parse("ours-words").measure == "openai-whisper-words"
    assert contenders.parse("ours@8").measure == "openai-whisper"


def test_who_cannot_run_here_is_left_out_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contenders, "find_spec", lambda name: None)
    wanted = [contenders.parse(name) for name in ("ours", "faster-whisper", "ours@8")]
    kept, notes = contenders.admitted(wanted)
    assert [each.name for each in kept] == ["ours", "ours@8"]
    assert [note.partition(" ")[0] for note in notes] == ["faster-whisper"]


def test_weights_that_cannot_be_converted_stop_only_those_who_need_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(found: Weights) -> Weights:
        raise OSError("no space left")

    monkeypatch.setattr(engine.weights, "convert", fail)
    found = Weights("tiny", tmp_path, tmp_path)
    ours, theirs = (contenders.parse(name) for name in ("ours", "faster-whisper"))
    kept, same, notes = engine._converted([ours, theirs], found)
    assert (kept, same) == ([ours], found)
    assert "faster-whisper is left out" in notes[0]
    assert "no space left" in notes[0]
    assert engine._converted([ours], found) == ([ours], found, [])


# Options


def asked(*words: str) -> Options:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    add_arguments(parser)
    return checked(parser.parse_args(words))


def test_without_options_all_but_the_words_are_compared_three_times_on_one_thread() -> None:
    options = asked()
    assert [each.name for each in options.contenders] == list(contenders.DEFAULT)
    assert not any(each.words for each in options.contenders)
    assert (options.model, options.rounds, options.threads, options.clips) == ("tiny.en", 3, 1, None)


def test_a_quick_run_is_one_round_over_few_recordings_unless_told_otherwise() -> None:
    assert asked("--quick").rounds == 1
    assert asked("--quick").clips == 3
    assert asked("--quick", "--rounds", "2").rounds == 2
    assert [each.name for each in asked("--quick").contenders] == list(contenders.QUICK)
    assert [each.name for each in asked("--quick", "--contenders", "ours").contenders] == ["ours"]


def test_each_size_of_a_batch_is_a_contender() -> None:
    options = asked("--contenders", "ours,openai-whisper", "--batch-size", "1,8")
    assert [each.name for each in options.contenders] == ["ours", "openai-whisper", "ours@1", "ours@8"]


def test_at_random_weights_few_are_compared_unless_others_are_asked_for() -> None:
    options = asked("--random-weights", "large-v3")
    assert [each.name for each in options.contenders] == ["ours", "openai-whisper"]
    others = asked("--random-weights", "large-v3", "--contenders", "ours,faster-whisper")
    assert [each.name for each in others.contenders] == ["ours", "faster-whisper"]
    assert (options.model, options.random) == ("large-v3", True)


@pytest.mark.parametrize(
    "words",
    [
        ("--contenders", "theirs"),
        ("--rounds", "0"),
        ("--threads", "x"),
        ("--batch-size", "1,,2"),
        ("--folder", "/nowhere/at/all"),
        ("--model", "huge"),
    ],
)
def test_a_wrong_option_is_wrong_usage(words: tuple[str, str]) -> None:
    with pytest.raises(SystemExit) as caught:
        asked(*words)
    assert caught.value.code == 2


# Recordings


def sound(path: Path, seconds: float = 0.5, rate: int = 8000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as writer:
        writer.setparams((2, 2, rate, 0, "NONE", ""))
        writer.writeframes(np.full(round(seconds * rate) * 2, 8192, "<i2").tobytes())
    return path


def test_recordings_are_found_in_all_folders_with_the_references_beside_them(tmp_path: Path) -> None:
    sound(tmp_path / "b.wav")
    sound(tmp_path / "deep" / "a.WAV")
    (tmp_path / "deep" / "a.txt").write_text("What is said.\n")
    (tmp_path / "notes.md").write_text("no recording")
    found = material.find(tmp_path, [])
    assert [(each.name, each.reference) for each in found] == [
        ("b.wav", None),
        ("deep/a.WAV", "What is said."),
    ]
    assert [each.name for each in material.find(tmp_path, ["deep/*", "c*"])] == ["deep/a.WAV"]
    assert material.find(tmp_path, ["c*"]) == []


def test_samples_are_mono_floats_at_16_kilohertz(tmp_path: Path) -> None:
    sound(tmp_path / "a.wav", seconds=0.5, rate=8000)
    (source,) = material.find(tmp_path, [])
    recording = material.decode(source, tmp_path / "a.npy")
    assert recording is not None
    samples = np.load(recording.samples)
    assert samples.dtype == np.float32
    assert recording.seconds == pytest.approx(0.5, abs=0.01)
    assert samples[4000] == pytest.approx(0.25, abs=0.01)


def test_a_file_without_sound_gives_no_recording(tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_text("not a sound")
    (source,) = material.find(tmp_path, [])
    assert material.decode(source, tmp_path / "a.npy") is None


# Words


def test_the_rate_over_many_texts_counts_words_and_not_texts() -> None:
    lower = str.lower
    long = scores.score("one two three four five six", "One two THREE four five", lower)
    short = scores.score("yes", "no", lower)
    assert (long, short) == (Score(1, 6), Score(1, 1))
    assert scores.total([long, None, short]).rate == pytest.approx(2 / 7)


def test_what_is_heard_in_silence_is_an_error_without_a_word_to_compare_with() -> None:
    assert scores.score(" ", "thank you", str.lower) == Score(2, 0)
    assert scores.score("thank you", "", str.lower) == Score(2, 2)
    assert scores.total([]).rate is None


def test_english_is_compared_as_whisper_does() -> None:
    assert (
        scores.score("Mr. Smith's colour, okay?", "mister smith's color okay", scores.normalizer("en")).errors
        == 0
    )
    assert scores.score("Größe!", "größe", scores.normalizer("de")).errors == 0


# Turns


def test_each_does_all_in_each_round_and_the_first_one_changes() -> None:
    taken = list(turns(["a", "b", "c"], rounds=3, files=2))
    assert [(number, file) for number, file, _ in taken] == [(n, f) for n in range(3) for f in range(2)]
    assert all(sorted(names) == ["a", "b", "c"] for _, _, names in taken)
    assert [names[0] for _, _, names in taken] == ["a", "b", "b", "c", "c", "a"]
    assert taken[1][2] == ["b", "c", "a"]
    assert [names for _, _, names in turns([], rounds=1, files=1)] == [[]]


# Tables

OURS, THEIRS = contenders.parse("ours"), contenders.parse("openai-whisper")
CLIP = Recording("clip.wav", Path("0.npy"), 10.0, "one two")
TALK = Recording("talk.wav", Path("1.npy"), 90.0, None)


def outcome() -> Outcome:
    timings = []
    for number, (ours, theirs) in enumerate([(1.0, 2.0), (4.0, 4.0), (1.0, 8.0)]):
        for recording, weight in (("clip.wav", 1.0), ("talk.wav", 3.0)):
            timings.append(
                Timing("ours", recording, number, ours * weight, ours, "one", 0.5, 10 * (number + 1))
            )
            timings.append(
                Timing("openai-whisper", recording, number, theirs * weight, theirs, "one two", None, 30)
            )
    return Outcome(timings, {}, {"ours": 50_000_000, "openai-whisper": 90_000_000}, {"ours": 7_000_000})


def test_a_row_holds_medians_over_rounds_and_ratios_within_them() -> None:
    found = outcome()
    marks = tables.marks([CLIP, TALK], found.timings, lambda a, b: scores.score(a, b, str.lower))
    rows = [
        dict(zip((*tables.COLUMNS, *tables.GPU_COLUMNS), row, strict=True))
        for row in tables.rows([OURS, THEIRS], [CLIP, TALK], found, marks, gpu=True)
    ]
    assert [(row["audio"], row["contender"]) for row in rows] == [
        ("all", "ours"),
        ("all", "openai-whisper"),
        ("talk.wav", "ours"),
        ("talk.wav", "openai-whisper"),
    ]
    assert rows[0] == {
        "audio": "all",
        "contender": "ours",
        "wall s": 4.0,
        "CPU s": 2.0,
        "least CPU s": 2.0,
        "wall ratio": 0.5,
        "CPU ratio": 0.5,
        "real-time factor": 0.04,
        "WER %": 50.0,
        "tokens": 40,
        "peak MB": 50.0,
        "GPU MB": 7.0,
        "GPU busy %": 50.0,
    }
    assert (rows[1]["wall ratio"], rows[1]["WER %"], rows[1]["GPU MB"], rows[1]["GPU busy %"]) == (
        1.0,
        0.0,
        None,
        None,
    )
    assert rows[1]["least CPU s"] == 4.0
    assert (rows[2]["wall s"], rows[2]["WER %"], rows[2]["peak MB"]) == (3.0, None, None)


def test_there_is_no_ratio_without_the_one_to_compare_with_and_no_row_for_who_was_left_out() -> None:
    found = outcome()
    found.timings = [each for each in found.timings if each.contender == "ours"]
    del found.peak_bytes["openai-whisper"]
    (row,) = tables.rows([OURS, THEIRS], [CLIP], found, {}, gpu=False)
    assert row[5:7] == [None, None]
    assert len(row) == len(tables.COLUMNS)


def test_the_details_hold_every_transcription() -> None:
    found = outcome()
    marks = {("ours", "clip.wav", 0): Score(1, 2)}
    details = tables.details([CLIP, TALK], found, marks)
    assert len(details["runs"]) == 12
    first = details["runs"][0]
    assert (first["round"], first["errors"], first["reference_words"], first["text"]) == (1, 1, 2, "one")
    assert details["runs"][1]["errors"] is None
    assert json.dumps(details)


# The graphics card


def test_a_line_of_nvidia_smi_is_read_also_where_the_card_does_not_tell() -> None:
    assert busy.sample(1.0, "37, 2\r\n") == busy.Sample(1.0, 0.37, 2 * 1024 * 1024)
    assert busy.sample(1.0, "[N/A], [N/A]") == busy.Sample(1.0, None, None)


def test_the_card_is_the_one_that_torch_means() -> None:
    assert busy.card("auto", None) == "0"
    assert busy.card("cuda:1", None) == "1"
    assert busy.card("cuda:1 (NVIDIA H100)", "4, 6") == "6"
    assert busy.card("cuda", "GPU-3c2a") == "GPU-3c2a"


def test_the_share_is_a_mean_over_the_time_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(
        f"#!{sys.executable}\nimport time\nwhile True:\n    print('40, 100')\n    time.sleep(0.02)\n"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with busy.Watch("cuda") as watch:
        began = deadline = time.monotonic()
        while watch.share(began, deadline) is None and deadline < began + 30:
            time.sleep(0.02)
            deadline = time.monotonic()
        assert watch.share(began, deadline) == pytest.approx(0.4)
        assert watch.used_bytes() == 100 * 1024 * 1024
        assert watch.share(began, began) is None


def test_nothing_is_seen_without_the_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with busy.Watch("auto") as watch:
        assert watch.used_bytes() is None


# Processes


def test_all_have_the_same_number_of_threads_and_nobody_inherits_how_they_wait() -> None:
    made = environment({"PATH": "/bin", "OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}, 2)
    assert made["PATH"] == "/bin"
    assert {made["OMP_NUM_THREADS"], made["NUMBA_NUM_THREADS"]} == {"2"}
    assert not {"OMP_WAIT_POLICY", "KMP_BLOCKTIME"} & set(made)


def order(contender: str, folder: Path) -> Load:
    return Load(contender, "tiny.en", str(folder), None, None, "cpu", "en", 1)


def test_what_goes_wrong_in_a_contender_is_told_and_it_goes_on(tmp_path: Path) -> None:
    with Process(1) as process:
        with pytest.raises(ContenderFailed, match="no contender 'theirs'"):
            process.load(order("theirs", tmp_path))
        with pytest.raises(ContenderFailed, match="no engine is loaded"):
            process.transcribe(tmp_path / "a.npy")
        assert process.peak_bytes > 0
        process.close()
        process.close()


def test_a_process_that_died_is_told(tmp_path: Path) -> None:
    with Process(1) as process:
        process._process.kill()
        with pytest.raises(ContenderFailed, match="ended with status -9"):
            process.load(order("ours", tmp_path))


# The real thing


def test_random_weights_write_the_same_number_of_tokens_whatever_they_hear() -> None:
    script = (
        "import torch, whisper\n"
        "from benchmarks.engines.random_weights import TOKENS, make\n"
        "model = make('tiny.en').eval()\n"
        "options = whisper.DecodingOptions(language='en', fp16=False)\n"
        "for loud in (0.1, 3.0):\n"
        "    heard = whisper.decode(model, torch.randn(80, 3000) * loud, options)\n"
        "    assert len(heard.tokens) == TOKENS, len(heard.tokens)\n"
        "    assert heard.avg_logprob > -1 and heard.compression_ratio < 2.4 and heard.no_speech_prob < 0.6\n"
    )
    root = Path(__file__).parents[1]
    env = environment({"PYTHONPATH": str(root)}, 1)
    subprocess.run([sys.executable, "-c", script], cwd=root, env=env, check=True)


@pytest.mark.model
def test_at_random_weights_a_recording_takes_as_many_tokens_from_each(tmp_path: Path) -> None:
    pytest.importorskip("faster_whisper")
    try:
        joined(librivox(cache()), tmp_path / "talk.wav")
    except RecordingsMissing as missing:
        pytest.skip(str(missing))
    file = tmp_path / "engine.json"
    words = ["--folder", str(tmp_path), "--random-weights", "tiny.en", "--rounds", "1", "--json", str(file)]
    main(["engine", *words, "--contenders", "ours,openai-whisper,faster-whisper"])
    ours, *theirs = (row["tokens"] for row in json.loads(file.read_text())["rows"])
    assert theirs == [TOKENS, TOKENS]
    assert ours == pytest.approx(TOKENS, rel=0.05)


@pytest.mark.model
def test_a_quick_run_transcribes_a_clip_with_our_engine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "engine.json"
    try:
        main(["engine", "--quick", "--contenders", "ours", "--only", "*0870*", "--json", str(file)])
    except SystemExit as missing:
        pytest.skip(str(missing))
    document = json.loads(file.read_text())
    (row,) = document["rows"]
    assert (row["contender"], row["wall ratio"]) == ("ours", None)
    assert row["WER %"] < 20
    assert row["peak MB"] > 100
    (found,) = document["details"]["runs"]
    assert found["cpu_seconds"] > 0
    assert found["reference_words"] > 5
    assert found["tokens"] > 5
    assert "round 1/1  ours" in capsys.readouterr().err
