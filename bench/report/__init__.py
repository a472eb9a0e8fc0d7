"""The leaderboard as a page that opens without a network, and as a picture for a README. Nothing here imports torch."""

from srbench.report.page import write_report
from srbench.report.pictures import PictureSet, collect_pictures
from srbench.report.plot import leaderboard_svg

__all__ = ["PictureSet", "collect_pictures", "leaderboard_svg", "write_report"]
