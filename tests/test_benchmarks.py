"""The benchmarks' frame: discovery, reports, and the command."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import discover, main
from benchmarks.report import Report, environment

MODULE = '''"""Measures a thing.

More about it.
"""
from benchmarks.report import Report

def run(quick: bool) -> Report:
    report = Report("A thing", ["what", "median ms"])
    report.add("quick" if quick else "whole", 1.5)
    return report
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / f"{tmp_path.name}_suite"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "thing.py").write_text(MODULE)
    (folder / "unimportable.py").write_text(
        '"""Breaks when imported."""\nimport nothing_of_this_name\ndef run(quick): ...\n'
    )
    (folder / "no_benchmark.py").write_text("X = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_benchmarks_are_listed_with_a_line_each_and_none_is_imported(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert discover(folder) == {"thing": "Measures a thing.", "unimportable": "Breaks when imported."}
    assert main([], folder) == 0
    assert capsys.readouterr().out == "thing         Measures a thing.\nunimportable  Breaks when imported.\n"
    assert f"{folder.name}.thing" not in sys.modules


@pytest.mark.parametrize(("flags", "word"), [([], "whole"), (["--quick"], "quick")])
def test_a_result_is_printed_as_a_table_and_written_as_json(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], word: str
) -> None:
    file = tmp_path / "new" / "thing.json"
    assert main(["thing", "--json", str(file), *flags], folder) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[:5] == ["A thing", "", "what   median ms", "-----  ---------", f"{word:<5}      1.500"]
    document = json.loads(file.read_text())
    assert document["rows"] == [{"what": word, "median ms": 1.5}]
    assert document["environment"]["cores"] >= 1


OWN_OPTIONS = (
    MODULE.replace("(quick: bool)", "(quick: bool, options: object)").replace("1.5", "options.seconds")
    + """
def arguments(parser: object) -> None:
    parser.add_argument("--seconds", type=float, default=2.5)
"""
)


@pytest.mark.parametrize(("flags", "seconds"), [([], 2.5), (["--seconds", "3.5", "--quick"], 3.5)])
def test_a_benchmark_may_have_options_of_its_own(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], seconds: float
) -> None:
    (folder / "own.py").write_text(OWN_OPTIONS)
    file = tmp_path / "own.json"
    assert main(["own", *flags, "--json", str(file)], folder) == 0
    assert json.loads(file.read_text())["rows"][0]["median ms"] == seconds


def test_an_option_of_another_benchmark_is_wrong_usage(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "own.py").write_text(OWN_OPTIONS)
    with pytest.raises(SystemExit) as caught:
        main(["thing", "--seconds", "3.5"], folder)
    assert caught.value.code == 2
    assert "--seconds" in capsys.readouterr().err


def test_the_help_of_a_benchmark_tells_its_own_options(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "own.py").write_text(OWN_OPTIONS)
    with pytest.raises(SystemExit) as caught:
        main(["own", "--help"], folder)
    assert caught.value.code == 0
    assert {"--seconds", "--quick", "--json"} <= set(capsys.readouterr().out.split())


def test_details_are_in_the_json_alone() -> None:
    report = Report("x", ["a"], details={"runs": [{"text": "said"}]})
    assert json.loads(report.to_json())["details"] == {"runs": [{"text": "said"}]}
    assert "said" not in report.to_text()


def test_an_unknown_name_is_wrong_usage(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["nothing"], folder)
    assert caught.value.code == 2
    assert "thing" in capsys.readouterr().err


def test_a_row_has_a_cell_for_each_column() -> None:
    with pytest.raises(ValueError, match="2 cells, not 1"):
        Report("x", ["a", "b"]).add(1)


def test_the_environment_names_the_machine_and_the_versions() -> None:
    assert {"python", "processor", "cores", "memory_bytes", "project-w"} <= set(environment())


def test_every_benchmark_of_the_project_says_what_it_measures() -> None:
    known = discover(Path(__file__).parents[1] / "benchmarks")
    assert all(line.endswith(".") for line in known.values()), known
