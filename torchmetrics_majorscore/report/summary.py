"""What a page says in numbers: titles of columns, means, paired differences, discrimination; all with intervals."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torchmetrics_majorscore.statistics.bootstrap import Interval
from torchmetrics_majorscore.statistics.consistency import compare_scores
from torchmetrics_majorscore.statistics.means import bootstrap_means
from torchmetrics_majorscore.tables.pairs import anchored, find_pairs

if TYPE_CHECKING:
    import pandas as pd

KINDS = {"majorscore": "MAJORScore", "clipclap": "CLIPCLAP"}
COMBINED = {
    f"{kind}_{combine}": f"{KINDS[kind]} {combine}" for kind in KINDS for combine in ("average", "sum", "product")
}
BASELINE = {"clipscore": "CLIPScore", "clapscore": "CLAPScore"}
# The sum ranks clips as the average does.
DISCRIMINATING = ("majorscore_average", "majorscore_product", "clipclap_average", "clipclap_product")


def give_pairs(table: "pd.DataFrame") -> dict[str, str]:
    """Give the titles of the similarities, such as ``video-text``, the anchored ones first, see :func:`.anchored`."""
    pairs = find_pairs(table)
    first = anchored(pairs)
    return {column: "-".join(pairs[column]) for column in [*first, *(pair for pair in pairs if pair not in first)]}


def give_titles(table: "pd.DataFrame") -> dict[str, str]:
    """Give the titles of the columns that a page shows, in its order."""
    titles = COMBINED | {"fairscore": "FairScore"}
    titles |= {column: f"{pair} similarity" for column, pair in give_pairs(table).items()} | BASELINE
    return {column: title for column, title in titles.items() if column in table}


def with_clipclap(table: "pd.DataFrame") -> "pd.DataFrame":
    """Add CLIPCLAP's three combinations (MAJORScore, Eq. 7) if there is a baseline."""
    if not set(BASELINE) <= set(table):
        return table
    clip, clap = (table[column] for column in BASELINE)
    combined = {"average": (clip + clap) / 2, "sum": clip + clap, "product": clip * clap}
    return table.assign(**{f"clipclap_{name}": values for name, values in combined.items()})


def give_means(tables: Sequence["pd.DataFrame"]) -> list[dict[str, Interval]]:
    """Give the mean of each column of :func:`give_titles`, of each table."""
    found: list[dict[str, Interval]] = [{} for _ in tables]
    for size in {len(table) for table in tables}:
        # Equal numbers of clips are drawn alike, so one time is enough.
        own = [(k, name) for k, table in enumerate(tables) if len(table) == size for name in give_titles(table)]
        for (k, name), mean in zip(own, bootstrap_means([tables[k][name].to_numpy() for k, name in own]), strict=True):
            found[k][name] = mean
    return found


def subtract(first: "pd.DataFrame", other: "pd.DataFrame") -> "pd.DataFrame":
    """Give first - other for the clips that both tables have, as ``majorscore compare`` does."""
    numeric = [column for column in give_titles(first) if column in other]
    one, two = first[numeric].align(other[numeric], join="inner")
    return one - two


def give_discrimination(first: "pd.DataFrame", wrong: "pd.DataFrame") -> dict[str, dict[str, Interval]]:
    """Compare the clips that both tables have, with their own captions and with others."""
    one, two = first.align(wrong, join="inner")
    return compare_scores({column: (one[column], two[column]) for column in DISCRIMINATING if column in one})


def count_clips(table: "pd.DataFrame") -> str:
    """Say how many clips there are, and how many have an error or a remark."""
    counts = [f"{len(table)} clips"]
    for column, noun in (("error", "an error"), ("remarks", "a remark")):
        if column in table and (marked := int((table[column] != "").sum())):
            counts.append(f"{marked} with {noun}")
    return ", ".join(counts)


def give_bars(means: Mapping[str, Mapping[str, Interval]]) -> dict[str, dict[str, Interval]]:
    """Give the means of the combinations as :func:`.render_means` takes them."""
    combinations = ("product", "sum", "average")
    return {
        f"{name}: {title}": {combine: found[f"{kind}_{combine}"] for combine in combinations}
        for name, found in means.items()
        for kind, title in KINDS.items()
        if f"{kind}_sum" in found
    }
