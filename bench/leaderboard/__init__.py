"""From records to tables, a pure function: the same records give the same bytes, on any machine, in any order.

Nothing here imports torch.
"""

from srbench.leaderboard.draws import joined, spreads
from srbench.leaderboard.entries import load_entries
from srbench.leaderboard.entry import Entry
from srbench.leaderboard.formats import to_csv, to_frame, to_markdown, to_text
from srbench.leaderboard.ranking import Group, Leaderboard, Row, build_leaderboard
from srbench.leaderboard.reported import ReportedGroup, ReportedRow, with_reported

__all__ = [
    "Entry",
    "Group",
    "Leaderboard",
    "ReportedGroup",
    "ReportedRow",
    "Row",
    "build_leaderboard",
    "joined",
    "load_entries",
    "spreads",
    "to_csv",
    "to_frame",
    "to_markdown",
    "to_text",
    "with_reported",
]
