"""Tables as ``majorscore score`` writes them, with planted values."""

import math

import pandas as pd

from torchmetrics_majorscore.evaluation import ScoreTable

SIGNATURE = "majorscore|enc:toy@1|pairs:video-text+text-audio|fps:1|pool:after|v:0"


def write_table(path, rows, signature=SIGNATURE):
    """Write rows ``id: (majorscore_average, fairscore, error)``; shorter ones are filled up."""
    table = ScoreTable(path, ["majorscore_average", "fairscore"], signature, rows)
    for clip, row in rows.items():
        average, fair, error = (*row, *(math.nan, 0.0, "")[len(row) :])
        table.add(clip, {"majorscore_average": average, "fairscore": fair}, error)
    return path


def frame(values, fair=0.0, error="", column="majorscore_average"):
    """Give a table in memory, as ``read_scores`` gives it."""
    table = pd.DataFrame({column: pd.Series(values, dtype=float)}).rename_axis("id")
    if column != "fairscore":
        table["fairscore"] = fair
    return table.assign(error=error)
