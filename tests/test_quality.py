"""The free metrics order generators of known quality on the embedded world, as `benchmarks/quality.py` prints it."""

import importlib
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
pytestmark = pytest.mark.filterwarnings("ignore:.* vectors of .* do not span:UserWarning")


@pytest.fixture(scope="module")
def quality(one_thread):
    before = set(sys.modules)
    sys.path.insert(0, str(BENCHMARKS))  # as Python does for a script
    yield importlib.import_module("quality")
    sys.path.remove(str(BENCHMARKS))
    for name in {path.stem for path in BENCHMARKS.glob("*.py")} & (sys.modules.keys() - before):
        del sys.modules[name]


@pytest.fixture(scope="module")
def values(quality):
    return quality.measure(24, 0)


@pytest.mark.parametrize("column", ["fd_clap", "kl_zero_shot", "is_zero_shot", "majorscore_average"])
def test_a_worse_generator_has_a_worse_value(quality, values, column):
    assert column in quality.COLUMNS
    assert quality.in_order(values, column), {name: round(own[column], 3) for name, own in values.items()}


def test_distances_are_of_equal_numbers(values):
    assert {own["fd_clap_n"] for own in values.values()} == {24}


def test_a_wrong_order_is_noticed(quality, values):
    for column in quality.COLUMNS:
        assert not quality.in_order({**values, "20 dB": values["0 dB"], "0 dB": values["20 dB"]}, column)
