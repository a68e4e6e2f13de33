"""CREATE, DROP and ALTER of tables, views and datasets: the catalogue changed by statements instead of by REST calls.

Decides who does it: creations.py, alterations.py, and itself for DROP.
"""

from collections.abc import Callable
from typing import Any

from sqlglot import exp

from local.warehouse.alterations import alter
from local.warehouse.catalog import Catalog, Ref
from local.warehouse.creations import Creations
from local.warehouse.datasets import remove
from local.warehouse.ddl_names import check_allowed, dataset_of, dropped, ref_of, statistics_of
from local.warehouse.queries import Outcome
from local.warehouse.references import Session
from local.warehouse.schema import Field
from local.warehouse.sizes import Sizes
from local.warehouse.statements import invalid, unsupported


class Definitions:
    """Runs DDL statements.

    Args:
        check_view: finds the schema of a view's query.
    """

    def __init__(self, sizes: Sizes, check_view: Callable[[Catalog, Ref, str], list[Field]]) -> None:
        self._creations = Creations(sizes, check_view)

    def run(self, session: Session, tree: exp.Expr, configuration: dict[str, Any]) -> Outcome:
        """Run one statement.

        Raises:
            CloudError: nothing is changed then.
        """
        what = str(tree.args.get("kind") or "").upper()
        handlers: dict[tuple[type[exp.Expr], str], Callable[..., Outcome]] = {
            (exp.Create, "TABLE"): self._creations.table,
            (exp.Create, "VIEW"): self._creations.view,
            (exp.Create, "SCHEMA"): self._creations.schema,
            (exp.Drop, "TABLE"): self._drop,
            (exp.Drop, "VIEW"): self._drop,
            (exp.Drop, "SCHEMA"): self._drop_schema,
            (exp.Alter, "TABLE"): alter,
            (exp.Alter, "VIEW"): alter,
        }
        handler = handlers.get((type(tree), what))
        if handler is None:
            raise unsupported(f"{type(tree).__name__.upper()} {what}")
        check_allowed(session, tree, what)
        return handler(session, tree, configuration)

    def _drop(self, session: Session, tree: exp.Drop, _configuration: dict[str, Any]) -> Outcome:
        kind = str(tree.args["kind"]).upper()
        ref = ref_of(session, dropped(tree))
        found = session.catalog.find_table(ref)
        if found is None:
            if not tree.args.get("exists"):
                session.catalog.table(ref, location=session.location)
            return Outcome(statistics_of(f"DROP_{kind}", "SKIP", ref))
        if (found.view is not None) != (kind == "VIEW"):
            raise invalid(f"Cannot drop {found.ref} with DROP {kind}: it is a {found.resource['type'].lower()}")
        session.catalog.drop_table(found)
        return Outcome(statistics_of(f"DROP_{kind}", "DROP", ref))

    def _drop_schema(self, session: Session, tree: exp.Drop, _configuration: dict[str, Any]) -> Outcome:
        project, dataset = dataset_of(session, tree)
        operation = "DROP"
        if tree.args.get("exists") and session.catalog.find_dataset(project, dataset) is None:
            operation = "SKIP"
        else:
            remove(session.catalog, project, dataset, contents=bool(tree.args.get("cascade")))
        return Outcome({"statementType": "DROP_SCHEMA", "ddlOperationPerformed": operation, "totalBytesProcessed": "0"})
