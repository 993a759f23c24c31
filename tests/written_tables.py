"""Tables as ``majorscore score`` writes them, with planted values."""

import csv
import json
import math
import re

import numpy as np
import pandas as pd

from torchmetrics_majorscore.tables.write import ScoreTable

SIGNATURE = "majorscore|enc:toy@1|pairs:video-text+text-audio|fps:1|pool:after|v:0"
COLUMNS = (
    *("similarity_video_text", "similarity_video_audio", "similarity_text_audio"),
    *("majorscore_sum", "majorscore_product", "majorscore_average", "fairscore"),
)
EVIL = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">$x$ & {{7*7}}"


def write_table(path, rows, signature=SIGNATURE):
    """Write rows ``id: (majorscore_average, fairscore, error)``; shorter ones are filled up."""
    table = ScoreTable(path, ["majorscore_average", "fairscore"], signature, dict.fromkeys(rows, ""))
    for clip, row in rows.items():
        average, fair, error = (*row, *(math.nan, 0.0, "")[len(row) :])
        table.add(clip, {"majorscore_average": average, "fairscore": fair}, error)
    return path


def frame(values, fair=0.0, error="", column="majorscore_average"):
    """Give a table in memory, as ``read_scores`` gives it."""
    table = pd.DataFrame({column: pd.Series(values, dtype=float)}).rename_axis("id")
    if column != "fairscore":
        table["fairscore"] = fair
    return table.assign(remarks="", error=error)


def write_random(path, ids, seed=0, signature=SIGNATURE, columns=COLUMNS, missing=(), reason="no audio stream"):
    """Write a table with all columns of ``majorscore score`` and random values; ``missing`` clips have a reason."""
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", *columns, "remarks", "error", "source"])
        for clip in ids:
            values = [f"{value:.9g}" for value in generator.uniform(-0.2, 0.8, len(columns))]
            values = values if clip not in missing else [values[0], *[""] * (len(columns) - 1)]
            writer.writerow([clip, *values, "", reason if clip in missing else "", ""])
    path.with_suffix(".json").write_text(json.dumps({"signature": signature}))
    return path


def page_rows(page):
    """Give the rows that a report's script reads."""
    return json.loads(re.search(r'id="rows">(.*?)</script>', page, re.DOTALL)[1])
