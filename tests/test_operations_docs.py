"""What docs/operations.md and the example alerts say of metrics is what the server has."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from projectw_server.metrics import Metrics

ROOT = Path(__file__).parents[1]
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
NAME = re.compile(r"projectw_[a-z_]+")


@pytest.fixture(scope="module")
def documented() -> set[str]:
    return set(NAME.findall((ROOT / "docs" / "operations.md").read_text("utf-8")))


def known() -> dict[str, set[str]]:
    """Return the names of each family as they are scraped."""
    names: dict[str, set[str]] = {}
    for family in Metrics().registry.collect():
        suffixes = {
            "counter": {"_total"}, "histogram": {"_bucket", "_count", "_sum", ""}, "info": {"_info"},
        }.get(family.type, {""})  # fmt: skip
        names[family.name] = {family.name + suffix for suffix in suffixes}
    return names


def test_every_metric_is_documented_and_no_other(documented: set[str]) -> None:
    families = {name: forms for name, forms in known().items() if name.startswith("projectw_")}
    assert [name for name, forms in families.items() if not forms & documented] == []
    assert documented <= set().union(*families.values())


def test_alerts_ask_for_metrics_that_there_are() -> None:
    rules = [rule for group in yaml.safe_load(ALERTS.read_text("utf-8"))["groups"] for rule in group["rules"]]
    everything = set().union(*known().values())
    for rule in rules:
        assert set(NAME.findall(rule["expr"])) <= everything, rule["alert"]
        assert rule["annotations"]["summary"].endswith(".")


def test_promtool_accepts_the_alerts() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed; it comes with Prometheus")
    checked = subprocess.run(
        [promtool, "check", "rules", ALERTS], capture_output=True, text=True, timeout=60, check=False
    )
    assert checked.returncode == 0, checked.stderr
