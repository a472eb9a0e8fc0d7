"""A paper's table, from a YAML of methods x test sets: what is recorded, what can run, and how it compares with print.

Three steps, each a function of what the one before gave: plan, run (cell by cell, or as jobs), render. Nothing here
imports torch.
"""

from srbench.tables.check import compared, disagreements
from srbench.tables.costs import Costs, measure_costs, plain_costs
from srbench.tables.launch import LAUNCHERS, launch_plan
from srbench.tables.page import to_html
from srbench.tables.plan import Cell, Plan, Terms, make_plan
from srbench.tables.reading import load_table, table_names
from srbench.tables.render import to_csv, to_latex, to_markdown, to_text
from srbench.tables.runs import run_plan
from srbench.tables.spec import MethodSpec, SetSpec, TableSpec
from srbench.tables.values import Value, table_values

__all__ = [
    "LAUNCHERS",
    "Cell",
    "Costs",
    "MethodSpec",
    "Plan",
    "SetSpec",
    "TableSpec",
    "Terms",
    "Value",
    "compared",
    "disagreements",
    "launch_plan",
    "load_table",
    "make_plan",
    "measure_costs",
    "plain_costs",
    "run_plan",
    "table_names",
    "table_values",
    "to_csv",
    "to_html",
    "to_latex",
    "to_markdown",
    "to_text",
]
