"""RunRecord: one file per evaluation that says what was measured, on what, with what, at what cost.

A record lies in ``<out>/<protocol>/<set>_x<scale>/<method>-<fingerprint>/`` as ``record.json`` with ``per_image.csv``
beside it. Everything that is read here is untrusted: unknown fields, wrong types, absolute paths and oversized files
are refused with one line that names the file. Nothing here imports torch.
"""

from srbench.records.files import find_records, read_record, read_rows, record_folder, write_record
from srbench.records.journal import Journal, read_journals, remove_journals
from srbench.records.privacy import portable
from srbench.records.schema import MARKS, SCHEMA, Cost, ImageRow, MetricResult, RunRecord, run_fingerprint
from srbench.records.validation import validate

__all__ = [
    "MARKS",
    "SCHEMA",
    "Cost",
    "ImageRow",
    "Journal",
    "MetricResult",
    "RunRecord",
    "find_records",
    "portable",
    "read_journals",
    "read_record",
    "read_rows",
    "record_folder",
    "remove_journals",
    "run_fingerprint",
    "validate",
    "write_record",
]
