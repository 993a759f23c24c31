"""Cells of CSV and TSV files that a spreadsheet does not run.

A text that begins like a formula is written with an apostrophe in front of it, which spreadsheets show as text, and
read without it: what is read is what was given. A leading minus stands in many ids, so there it takes a bracket, a bar
or an exclamation mark behind it, without which no formula does more than arithmetic.
"""

import re

_FORMULA = re.compile(r"'*(?:[=+@\t\r]|-.*[(|!])", re.DOTALL)


def neutral(text: str) -> str:
    """Give a cell as it is to be written.

    Args:
        text: of the cell.

    Returns:
        The same, with one apostrophe in front if it begins like a formula, or like one with apostrophes already.

    Example:
        >>> neutral("=1+1"), neutral("-Qowmc0P9ic_000034"), neutral("-0.25"), neutral("'@SUM(1)")
        ("'=1+1", '-Qowmc0P9ic_000034', '-0.25', "''@SUM(1)")
    """
    return f"'{text}" if _FORMULA.match(text) else text


def original(cell: str) -> str:
    """Give the text that :func:`neutral` was given.

    Args:
        cell: as it was read.

    Returns:
        The same, less one apostrophe.

    Example:
        >>> original("'=1+1"), original("'tis")
        ('=1+1', "'tis")
    """
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
