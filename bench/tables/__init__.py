"""A paper's table, from a YAML of methods x test sets: what is recorded, what can run, and how it compares with print.

Three steps, each a function of what the one before gave: plan, run (one cell at a time), render. Nothing here imports
torch.
"""

from srbench.tables.costs import Costs, measure_costs
from srbench.tables.plan import Cell, Plan, make_plan
from srbench.tables.render import to_csv, to_markdown, to_text
from srbench.tables.runs import run_plan
from srbench.tables.spec import MethodSpec, SetSpec, TableSpec, load_table, table_names

__all__ = [
    "Cell",
    "Costs",
    "MethodSpec",
    "Plan",
    "SetSpec",
    "TableSpec",
    "load_table",
    "make_plan",
    "measure_costs",
    "run_plan",
    "table_names",
    "to_csv",
    "to_markdown",
    "to_text",
]
