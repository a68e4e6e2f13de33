"""The SQL of the views that readers use: the newest predictions of a model, and the runs of all models.

Pure. Does not own the views themselves (components/warehouse.py) or the columns (service/table.py).
"""

from collections.abc import Sequence

from service.spec import ModelSpec
from service.table import RUNS_SCHEMA, prediction_schema


def latest_predictions(model: ModelSpec, predictions: str, runs: str) -> str:
    """The predictions of the newest run date that was delivered whole, however long ago it was.

    Args:
        predictions: the model's table, as project.dataset.table.
        runs: the table of its runs, likewise.
    """
    # Columns by name: a view of `*` keeps the columns of the day it was made in its own schema.
    return f"""\
SELECT {_names(prediction_schema(model))}
FROM `{predictions}`
-- True of every date. The table demands a filter of constants, which the next line is not.
WHERE run_date >= DATE '0001-01-01'
  AND run_date = (
    SELECT MAX(run_date) FROM `{runs}` WHERE action = 'application' AND status = 'succeeded'
  )"""  # noqa: S608 (names that the stack's settings and model.yaml have checked)


def all_runs(tables: Sequence[str]) -> str:
    """The runs of every model.

    Args:
        tables: one table of runs per model, as project.dataset.table.
    """
    columns = _names(RUNS_SCHEMA)
    return "\nUNION ALL\n".join(f"SELECT {columns} FROM `{table}`" for table in tables)  # noqa: S608 (as above)


def _names(columns: Sequence[dict[str, str]]) -> str:
    return ", ".join(f"`{column['name']}`" for column in columns)
