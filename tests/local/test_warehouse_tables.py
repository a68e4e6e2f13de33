"""Datasets, tables and views of BigQuery, through the official client: what is declared comes back, and is kept."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest, Conflict, MethodNotImplemented, NotFound, PreconditionFailed
from google.cloud import bigquery
from google.cloud.bigquery import SchemaField

from tests.local.warehouse_fixtures import PROJECT, Rows

pytest_plugins = ["tests.local.warehouse_fixtures"]
pytestmark = pytest.mark.client

Make = Callable[..., bigquery.Table]

NESTED = [
    SchemaField("id", "STRING", "REQUIRED", description="whose row it is"),
    SchemaField("day", "DATE", "REQUIRED"),
    SchemaField("amount", "NUMERIC"),
    SchemaField("tags", "STRING", "REPEATED"),
    SchemaField("visits", "RECORD", "REPEATED", fields=[SchemaField("at", "TIMESTAMP"), SchemaField("page", "STRING")]),
]


@pytest.mark.parametrize("statement", [None, "CREATE SCHEMA razorbills OPTIONS (location = 'mars-central1')"])
def test_a_dataset_lies_where_google_has_a_place(bq: bigquery.Client, statement: str | None) -> None:
    new = bigquery.Dataset(f"{PROJECT}.razorbills")
    new.location = "mars-central1"
    with pytest.raises(BadRequest, match="Invalid location 'mars-central1'"):
        _ = bq.query_and_wait(statement) if statement else bq.create_dataset(new)


def test_a_dataset_keeps_what_was_declared(bq: bigquery.Client) -> None:
    new = bigquery.Dataset(f"{PROJECT}.auks")
    new.location, new.description, new.labels = "EU", "of auks", {"team": "north"}
    new.default_table_expiration_ms = 3_600_000
    made = bq.create_dataset(new)
    found = bq.get_dataset("auks")
    assert (found.location, found.description, found.labels) == ("EU", "of auks", {"team": "north"})
    assert found.default_table_expiration_ms == 3_600_000
    assert found.etag == made.etag
    assert found.created is not None
    assert "auks" in [d.dataset_id for d in bq.list_datasets()]
    assert [d.dataset_id for d in bq.list_datasets(filter="labels.team:north")] == ["auks"]
    bq.delete_dataset("auks")
    with pytest.raises(NotFound, match=f"Not found: Dataset {PROJECT}:auks"):
        bq.get_dataset("auks")


def test_a_second_dataset_of_a_name_is_a_conflict(bq: bigquery.Client, dataset: str) -> None:
    with pytest.raises(Conflict, match="Already Exists: Dataset"):
        bq.create_dataset(dataset)
    assert bq.create_dataset(dataset, exists_ok=True).dataset_id == dataset


def test_a_dataset_is_changed_only_as_it_was_read(bq: bigquery.Client, dataset: str) -> None:
    first, second = bq.get_dataset(dataset), bq.get_dataset(dataset)
    first.description = "first"
    first.labels = {"a": "1", "b": "2"}
    bq.update_dataset(first, ["description", "labels"])
    second.description = "second"
    with pytest.raises(PreconditionFailed):
        bq.update_dataset(second, ["description"])
    third = bq.get_dataset(dataset)
    third.labels = {"a": None}
    assert bq.update_dataset(third, ["labels"]).labels == {"b": "2"}
    assert bq.get_dataset(dataset).description == "first"


def test_access_entries_of_a_dataset_are_kept(bq: bigquery.Client, dataset: str) -> None:
    found = bq.get_dataset(dataset)
    reader = bigquery.AccessEntry("READER", "userByEmail", "reader@example.com")
    found.access_entries = [*found.access_entries, reader]
    bq.update_dataset(found, ["access_entries"])
    assert reader in bq.get_dataset(dataset).access_entries


def test_a_dataset_with_tables_is_deleted_only_on_demand(bq: bigquery.Client, dataset: str, make: Make) -> None:
    make("t", "id INT64")
    with pytest.raises(BadRequest, match="is still in use"):
        bq.delete_dataset(dataset)
    bq.delete_dataset(dataset, delete_contents=True)
    with pytest.raises(NotFound):
        bq.get_table(f"{dataset}.t")


def test_a_table_keeps_its_schema_partitioning_and_settings(bq: bigquery.Client, dataset: str) -> None:
    new = bigquery.Table(f"{PROJECT}.{dataset}.visits", schema=NESTED)
    new.time_partitioning = bigquery.TimePartitioning(field="day")
    new.require_partition_filter = True
    new.clustering_fields = ["id"]
    new.description, new.friendly_name, new.labels = "who came", "Visits", {"a": "b"}
    new.expires = dt.datetime(2099, 1, 1, tzinfo=dt.UTC)
    bq.create_table(new)
    found = bq.get_table(f"{dataset}.visits")
    assert found.schema == NESTED
    assert (found.time_partitioning.type_, found.time_partitioning.field) == ("DAY", "day")
    assert found.require_partition_filter
    assert found.clustering_fields == ["id"]
    assert (found.description, found.friendly_name, found.labels) == ("who came", "Visits", {"a": "b"})
    assert found.expires == new.expires
    assert (found.num_rows, found.num_bytes, found.table_type, found.location) == (0, 0, "TABLE", "europe-west4")
    [listed] = bq.list_tables(dataset)
    assert (listed.table_id, listed.table_type, listed.labels) == ("visits", "TABLE", {"a": "b"})
    assert listed.time_partitioning.field == "day"


def test_types_are_reported_by_the_names_of_the_api(make: Make) -> None:
    table = make("t", "a INT64", "b FLOAT64", "c BOOL", "d DECIMAL")
    assert [f.field_type for f in table.schema] == ["INTEGER", "FLOAT", "BOOLEAN", "NUMERIC"]


def test_names_of_tables_are_case_sensitive_and_those_of_columns_are_not(
    bq: bigquery.Client, dataset: str, make: Make, rows: Rows
) -> None:
    make("Birds", "Name STRING")
    make("birds", "n INT64")
    bq.query_and_wait(f"INSERT INTO {dataset}.Birds (name) VALUES ('auk')")
    assert rows(f"SELECT NAME FROM {dataset}.Birds") == [("auk",)]
    assert rows(f"SELECT * FROM {dataset}.birds") == []


@pytest.mark.parametrize("name", ["select", "with-dash", "with space", "Ünï", "t12", "jobs"])
def test_any_legal_name_can_be_a_tables(bq: bigquery.Client, dataset: str, rows: Rows, name: str) -> None:
    bq.create_table(
        bigquery.Table(
            f"{PROJECT}.{dataset}.{name}", schema=[SchemaField("order", "INT64"), SchemaField("a b", "INT64")]
        )
    )
    rows(f"INSERT INTO `{PROJECT}.{dataset}.{name}` (`order`, `a b`) VALUES (1, 2)")
    assert rows(f"SELECT `order`, `a b` FROM `{dataset}`.`{name}`") == [(1, 2)]
    assert [t.table_id for t in bq.list_tables(dataset)] == [name]


def test_a_tables_schema_grows_and_relaxes_but_does_not_change(bq: bigquery.Client, make: Make, rows: Rows) -> None:
    table = make("t", "id STRING REQUIRED", "n INT64")
    rows(f"INSERT INTO {table.dataset_id}.t VALUES ('a', 1)")
    table = bq.get_table(table)
    table.schema = [SchemaField("id", "STRING"), SchemaField("n", "INT64"), SchemaField("more", "STRING", "REPEATED")]
    table = bq.update_table(table, ["schema"])
    assert [(f.name, f.mode) for f in table.schema] == [("id", "NULLABLE"), ("n", "NULLABLE"), ("more", "REPEATED")]
    rows(f"INSERT INTO {table.dataset_id}.t (n, more) VALUES (2, ['x'])")
    assert rows(f"SELECT * FROM {table.dataset_id}.t ORDER BY n") == [("a", 1, []), (None, 2, ["x"])]
    for wrong, told in [
        ([SchemaField("id", "STRING")], "Field n is missing in new schema"),
        ([*table.schema[:1], SchemaField("n", "STRING"), table.schema[2]], "has changed type from INTEGER to STRING"),
        ([*table.schema, SchemaField("r", "STRING", "REQUIRED")], "Cannot add required fields"),
        ([SchemaField("id", "STRING", "REQUIRED"), *table.schema[1:]], "has changed mode from NULLABLE to REQUIRED"),
    ]:
        table = bq.get_table(table)
        table.schema = wrong
        with pytest.raises(BadRequest, match=told):
            bq.update_table(table, ["schema"])


def test_a_field_is_added_inside_a_record(bq: bigquery.Client, dataset: str, rows: Rows) -> None:
    old = SchemaField("s", "RECORD", fields=[SchemaField("a", "INT64")])
    table = bq.create_table(bigquery.Table(f"{PROJECT}.{dataset}.t", schema=[old]))
    rows(f"INSERT INTO {dataset}.t VALUES (STRUCT(1))")
    table = bq.get_table(table)
    table.schema = [SchemaField("s", "RECORD", fields=[SchemaField("a", "INT64"), SchemaField("b", "STRING")])]
    bq.update_table(table, ["schema"])
    assert rows(f"SELECT s.a, s.b FROM {dataset}.t") == [(1, None)]


def test_a_table_is_changed_only_as_it_was_read(bq: bigquery.Client, make: Make) -> None:
    table = make("t", "id INT64")
    other = bq.get_table(table)
    other.description = "changed"
    bq.update_table(other, ["description"])
    table.labels = {"a": "b"}
    with pytest.raises(PreconditionFailed):
        bq.update_table(table, ["labels"])


def test_every_change_moves_the_modification_time(bq: bigquery.Client, make: Make, rows: Rows) -> None:
    table = make("t", "id INT64")
    rows(f"INSERT INTO {table.dataset_id}.t VALUES (1)")
    changed = bq.get_table(table)
    assert changed.modified > table.modified
    assert changed.etag != table.etag
    assert changed.created == table.created


def test_partitions_are_counted_by_decorator(bq: bigquery.Client, dataset: str, make: Make, rows: Rows) -> None:
    table = make("t", "day DATE", "n INT64", time_partitioning=bigquery.TimePartitioning(field="day"))
    rows(f"INSERT INTO {dataset}.t VALUES ('2024-05-01', 1), ('2024-05-01', 2), ('2024-05-02', 3), (NULL, 4)")
    assert bq.get_table(table).num_rows == 4
    counts = {p: bq.get_table(f"{dataset}.t${p}").num_rows for p in ("20240501", "20240502", "20240503", "__NULL__")}
    assert counts == {"20240501": 2, "20240502": 1, "20240503": 0, "__NULL__": 1}
    assert sorted(bq.list_partitions(table)) == ["20240501", "20240502", "__NULL__"]
    with pytest.raises(BadRequest, match="Invalid partition decorator"):
        bq.get_table(f"{dataset}.t$2024")
    bq.delete_table(f"{dataset}.t$20240501")
    assert bq.get_table(table).num_rows == 2


@pytest.mark.parametrize(
    ("unit", "id"), [("HOUR", "2024050113"), ("DAY", "20240501"), ("MONTH", "202405"), ("YEAR", "2024")]
)
def test_each_unit_of_partitioning_has_its_ids(
    bq: bigquery.Client, dataset: str, make: Make, rows: Rows, unit: str, id: str
) -> None:
    partitioning = bigquery.TimePartitioning(type_=unit, field="at")
    make("t", "at TIMESTAMP", time_partitioning=partitioning)
    rows(f"INSERT INTO {dataset}.t VALUES ('2024-05-01 13:30:00'), ('2023-01-01 00:00:00')")
    assert bq.get_table(f"{dataset}.t${id}").num_rows == 1
    assert bq.list_partitions(f"{dataset}.t")[-1] == id


def test_ranges_of_integers_partition_a_table(bq: bigquery.Client, dataset: str, make: Make, rows: Rows) -> None:
    ranges = bigquery.PartitionRange(start=0, end=100, interval=10)
    make("t", "n INT64", range_partitioning=bigquery.RangePartitioning(field="n", range_=ranges))
    rows(f"INSERT INTO {dataset}.t VALUES (5), (11), (19), (500)")
    assert bq.get_table(f"{dataset}.t$10").num_rows == 2
    assert bq.list_partitions(f"{dataset}.t") == ["0", "10", "__UNPARTITIONED__"]


def test_bytes_are_counted_as_documented(bq: bigquery.Client, make: Make, rows: Rows) -> None:
    table = make("t", "s STRING", "n INT64", "b BOOL", "a STRING REPEATED")
    rows(f"INSERT INTO {table.dataset_id}.t VALUES ('abc', 1, TRUE, ['x', 'yz']), (NULL, NULL, NULL, [])")
    assert bq.get_table(table).num_bytes == (2 + 3) + 8 + 1 + (2 + 1) + (2 + 2)


def test_a_view_is_its_query(bq: bigquery.Client, dataset: str, make: Make, rows: Rows) -> None:
    make("t", "id STRING", "n INT64")
    rows(f"INSERT INTO {dataset}.t VALUES ('a', 1), ('b', 2)")
    view = bigquery.Table(f"{PROJECT}.{dataset}.v")
    view.view_query = f"SELECT id, n * 2 AS double FROM `{PROJECT}.{dataset}.t`"
    made = bq.create_table(view)
    assert made.table_type == "VIEW"
    assert [(f.name, f.field_type) for f in made.schema] == [("id", "STRING"), ("double", "INTEGER")]
    assert rows(f"SELECT double FROM {dataset}.v WHERE id = 'b'") == [(4,)]
    made.view_query = f"SELECT id FROM `{PROJECT}.{dataset}.t` WHERE n > 1"
    bq.update_table(made, ["view_query"])
    assert rows(f"SELECT * FROM {dataset}.v") == [("b",)]
    with pytest.raises(BadRequest, match="Cannot list a table of type VIEW"):
        list(bq.list_rows(f"{dataset}.v", selected_fields=made.schema[:1]))


def test_a_view_of_a_missing_table_is_refused(bq: bigquery.Client, dataset: str) -> None:
    view = bigquery.Table(f"{PROJECT}.{dataset}.v")
    view.view_query = f"SELECT * FROM `{PROJECT}.{dataset}.nothing`"
    with pytest.raises(NotFound, match="Not found: Table"):
        bq.create_table(view)


def test_an_expired_table_is_gone(bq: bigquery.Client, make: Make) -> None:
    table = make("t", "id INT64", expires=dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1))
    with pytest.raises(NotFound):
        bq.get_table(table)
    assert list(bq.list_tables(table.dataset_id)) == []


def test_lists_come_in_pages(bq: bigquery.Client, dataset: str, make: Make) -> None:
    for name in ("a", "b", "c"):
        make(name, "id INT64")
    pages = list(bq.list_tables(dataset, page_size=2).pages)
    assert [[t.table_id for t in page] for page in pages] == [["a", "b"], ["c"]]


def test_a_policy_of_a_table_is_kept_and_compared(bq: bigquery.Client, make: Make) -> None:
    table = make("t", "id INT64")
    policy = bq.get_iam_policy(table)
    policy.bindings = [{"role": "roles/bigquery.dataViewer", "members": {"user:a@example.com"}}]
    bq.set_iam_policy(table, policy)
    found = bq.get_iam_policy(table)
    assert found.bindings[0]["role"] == "roles/bigquery.dataViewer"
    assert bq.test_iam_permissions(table, ["bigquery.tables.get"])["permissions"] == ["bigquery.tables.get"]
    with pytest.raises(Conflict, match="has changed"):
        bq.set_iam_policy(table, policy)


def settings(**values: Any) -> dict[str, Any]:
    return values


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        (settings(schema={"fields": [{"name": "g", "type": "GEOGRAPHY"}]}), MethodNotImplemented, "GEOGRAPHY"),
        (settings(schema={"fields": [{"name": "a.b", "type": "STRING"}]}), BadRequest, "Invalid field name"),
        (settings(schema={"fields": [{"name": "_Partition_day", "type": "DATE"}]}), BadRequest, "pseudo columns"),
        (settings(schema={"fields": [{"name": "a", "type": "NOPE"}]}), BadRequest, "NOPE"),
        (
            settings(schema={"fields": [{"name": "a", "type": "STRING"}, {"name": "A", "type": "STRING"}]}),
            BadRequest,
            "already exists",
        ),
        (settings(timePartitioning={"type": "WEEK"}), BadRequest, "Invalid partitioning type"),
        (settings(timePartitioning={"type": "DAY", "field": "x"}), BadRequest, "cannot be found in the schema"),
        (settings(clustering={"fields": ["x"]}), BadRequest, "clustering cannot be found"),
        (
            settings(externalDataConfiguration={"sourceFormat": "CSV"}),
            MethodNotImplemented,
            "externalDataConfiguration",
        ),
        (settings(materializedView={"query": "SELECT 1"}), MethodNotImplemented, "materializedView"),
    ],
)
def test_what_a_table_cannot_be_is_refused(
    bq: bigquery.Client, dataset: str, given: dict[str, Any], error: type[Exception], told: str
) -> None:
    reference = {"projectId": PROJECT, "datasetId": dataset, "tableId": "t"}
    with pytest.raises(error, match=told):
        bq.create_table(bigquery.Table.from_api_repr({"tableReference": reference, **given}))


def test_what_the_warehouse_lacks_names_the_method(bq: bigquery.Client, dataset: str) -> None:
    routine = bigquery.Routine(f"{PROJECT}.{dataset}.r", type_="SCALAR_FUNCTION", language="SQL", body="1")
    with pytest.raises(MethodNotImplemented, match=r"does not support .*POST .*/routines"):
        bq.create_routine(routine)
    assert list(bq.list_routines(dataset)) == []
    assert list(bq.list_models(dataset)) == []
    assert PROJECT in [p.project_id for p in bq.list_projects()]


def test_a_view_has_the_names_of_columns_that_it_was_given(bq: bigquery.Client, dataset: str, rows: Rows) -> None:
    rows(f"CREATE VIEW {dataset}.named(day OPTIONS (description = 'of sale'), sum) AS SELECT DATE '2024-05-01' AS d, 3")
    found = bq.get_table(f"{dataset}.named")
    assert [(f.name, f.field_type, f.description) for f in found.schema] == [
        ("day", "DATE", "of sale"),
        ("sum", "INTEGER", None),
    ]
    assert rows(f"SELECT sum FROM {dataset}.named WHERE day = '2024-05-01'") == [(3,)]
    with pytest.raises(BadRequest, match="has 1 columns, but its query 2"):
        rows(f"CREATE VIEW {dataset}.short(a) AS SELECT 1, 2")


def test_ddl_declares_bytes(bq: bigquery.Client, dataset: str, rows: Rows) -> None:
    rows(f"CREATE TABLE {dataset}.digests (whole BYTES, head BYTES(4))")
    assert [f.field_type for f in bq.get_table(f"{dataset}.digests").schema] == ["BYTES", "BYTES"]
    rows(f"INSERT {dataset}.digests VALUES (b'abcde', b'abcd')")
    assert rows(f"SELECT * FROM {dataset}.digests") == [(b"abcde", b"abcd")]


def test_a_dataset_made_by_a_statement_keeps_its_options(bq: bigquery.Client, rows: Rows) -> None:
    rows(
        "CREATE SCHEMA guillemots OPTIONS (location = 'EU', description = 'on cliffs', labels = [('team', 'north')],"
        " default_table_expiration_days = 2)"
    )
    found = bq.get_dataset("guillemots")
    assert (found.location, found.description, found.labels) == ("EU", "on cliffs", {"team": "north"})
    assert found.default_table_expiration_ms == 2 * 86_400_000
    bq.delete_dataset(found)
    with pytest.raises(BadRequest, match="does not support the option is_case_insensitive"):
        rows("CREATE SCHEMA guillemots OPTIONS (is_case_insensitive = TRUE)")


def test_a_columns_type_is_widened_by_a_statement_only(bq: bigquery.Client, make: Make, rows: Rows) -> None:
    table = make("counts", "n INT64")
    rows(f"INSERT INTO `{table}` VALUES (3)")
    rows(f"ALTER TABLE `{table}` ALTER COLUMN n SET DATA TYPE NUMERIC")
    assert bq.get_table(table).schema[0].field_type == "NUMERIC"
    rows(f"INSERT INTO `{table}` VALUES (NUMERIC '0.5')")
    assert rows(f"SELECT SUM(n) FROM `{table}`") == [(Decimal("3.5"),)]
    with pytest.raises(BadRequest, match="SET DATA TYPE"):
        rows(f"ALTER TABLE `{table}` ALTER COLUMN n SET DATA TYPE INT64")


DEFINED = {
    "TABLE": [
        "(id INT64 NOT NULL, s STRING(5) DEFAULT 'x' OPTIONS(description='a \"q\"\\n'), n NUMERIC(10, 2), d DATE,"
        " l ARRAY<STRUCT<x DATE, y STRING>>) PARTITION BY d CLUSTER BY id, s OPTIONS(description='eggs',"
        " labels=[('team', 'north')], require_partition_filter=true, partition_expiration_days=3.5,"
        " expiration_timestamp=TIMESTAMP '2090-01-01 00:00:00 UTC')",
        "(t TIMESTAMP) PARTITION BY DATE(t)",
        "(t DATETIME) PARTITION BY DATETIME_TRUNC(t, MONTH)",
        "(i INT64) PARTITION BY RANGE_BUCKET(i, GENERATE_ARRAY(0, 100, 10))",
        "(`two words` INT64) PARTITION BY _PARTITIONDATE",
    ],
    "VIEW": ["OPTIONS(description='one') AS SELECT 1 AS x"],
}


@pytest.mark.parametrize(("kind", "definition"), [(kind, d) for kind, found in DEFINED.items() for d in found])
def test_the_ddl_of_a_table_makes_it_again(
    bq: bigquery.Client, dataset: str, rows: Rows, kind: str, definition: str
) -> None:
    def known() -> dict[str, Any]:
        found = bq.get_table(f"{dataset}.nests").to_api_repr()
        return {k: v for k, v in found.items() if k not in ("etag", "creationTime", "lastModifiedTime")}

    rows(f"CREATE {kind} {dataset}.nests {definition}")
    before = known()
    [(ddl,)] = rows(f"SELECT ddl FROM {dataset}.INFORMATION_SCHEMA.TABLES")
    rows(f"DROP {kind} {dataset}.nests")
    rows(ddl)
    assert known() == before
