"""The measurements of long recordings and of those in which nobody speaks."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import longfile, silence
from benchmarks.__main__ import main


def test_without_options_the_long_file_is_of_three_hours() -> None:
    parser = argparse.ArgumentParser()
    longfile.arguments(parser)
    assert parser.parse_args([]).hours == 3.0
    assert parser.parse_args(["--hours", "10"]).hours == 10.0


@pytest.mark.parametrize("hours", ["0", "25", "many"])
def test_a_length_that_the_runner_does_not_take_is_wrong_usage(hours: str) -> None:
    parser = argparse.ArgumentParser()
    longfile.arguments(parser)
    with pytest.raises(SystemExit) as caught:
        parser.parse_args(["--hours", hours])
    assert caught.value.code == 2


def test_the_sounds_are_as_long_and_as_loud_as_they_say() -> None:
    made = {name: make(4) for name, make in silence.SOUNDS.items()}
    assert {len(sound) for sound in made.values()} == {64_000}
    loud = {
        name: 20 * np.log10(np.sqrt(np.mean(np.square(sound, dtype=np.float64))) + 1e-9)
        for name, sound in made.items()
    }
    assert loud == pytest.approx(
        {"digital silence": -180, "pink noise, -40 dB": -40, "music, -20 dB": -20}, abs=0.1
    )


def test_pink_noise_has_as_much_power_in_each_octave() -> None:
    spectrum = np.abs(np.fft.rfft(silence.pink_noise(8).astype(np.float64))) ** 2
    octaves = [spectrum[8 * low : 16 * low].sum() for low in (125, 250, 500, 1000, 2000)]
    assert max(octaves) < 1.3 * min(octaves)


@pytest.mark.model
def test_a_quick_run_goes_the_whole_way_but_for_the_model(tmp_path: Path) -> None:
    file = tmp_path / "longfile.json"
    try:
        main(["longfile", "--quick", "--hours", "0.1", "--json", str(file)])
    except SystemExit as missing:
        pytest.skip(str(missing))
    short, long = json.loads(file.read_text())["rows"]
    assert (short["audio s"], long["audio s"], long["goal met"]) == (180, 360, True)
    assert long["segments"] > short["segments"] > 0
    assert long["peak MB"] > long["above model MB"] > 100


@pytest.mark.model
def test_nothing_is_written_where_nobody_speaks(tmp_path: Path) -> None:
    file = tmp_path / "silence.json"
    main(["silence", "--quick", "--json", str(file)])
    rows = json.loads(file.read_text())["rows"]
    assert [(row["sound"], row["segments"], row["text"]) for row in rows] == [
        (name, 0, "") for name in silence.SOUNDS
    ]
