"""Datasets and tables as the program declares them, asked as the engine asks."""

import json
from typing import Any

import httpx
import pytest

from tests.conftest import RunningCloud

from .client import Client, refused

DATASET = "gcp:bigquery/dataset:Dataset"
TABLE = "gcp:bigquery/table:Table"
TABLE_GRANT = "gcp:bigquery/iamMember:IamMember"


def schema(*columns: str) -> str:
    return json.dumps([dict(zip(("name", "type", "mode"), column.split(), strict=False)) for column in columns])


def dataset(client: Client, name: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return client.create(DATASET, {"datasetId": name, "location": "europe-west6", **more})


def table(name: str, *columns: str, **more: Any) -> dict[str, Any]:
    columns = columns or ("day DATE REQUIRED", "customer STRING REQUIRED", "units INT64", "amount NUMERIC")
    given = {"tableId": "sales", "schema": schema(*columns), "deletionProtection": False, "clusterings": ["customer"]}
    partitioned = {"timePartitioning": {"type": "DAY", "field": "day"}, "requirePartitionFilter": True}
    return {"datasetId": name, **given, **partitioned, **more}


def real(cloud: RunningCloud, id: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{cloud.url}/bigquery/v2/{id}").raise_for_status().json()
    return found


def query(cloud: RunningCloud, text: str) -> None:
    body = {"query": text, "useLegacySql": False}
    httpx.post(f"{cloud.url}/bigquery/v2/projects/test-project/queries", json=body).raise_for_status()


def test_a_dataset_is_what_was_declared_and_reads_back_without_drift(client: Client, cloud: RunningCloud) -> None:
    inputs: dict[str, Any] = {"datasetId": "shop_a", "location": "europe-west6", "labels": {"team": "science"}}
    inputs |= {"description": "Sales", "friendlyName": "Shop", "maxTimeTravelHours": "72"}
    inputs |= {"defaultTableExpirationMs": 7_200_000}
    id, outputs = client.create(DATASET, inputs)
    assert id == "projects/test-project/datasets/shop_a"
    assert outputs["selfLink"].endswith(id), "an address of the platform, which survives a restart"
    assert real(cloud, id)["description"] == "Sales"
    found = client.read(DATASET, id, inputs, outputs)
    assert found
    assert client.diff(DATASET, found[0], inputs, found[1]) == {}


def test_a_dataset_loses_what_is_declared_no_more(client: Client, cloud: RunningCloud) -> None:
    old = {"datasetId": "shop_b", "location": "EU", "description": "old", "labels": {"a": "1", "b": "2"}}
    new = {"datasetId": "shop_b", "location": "EU", "labels": {"b": "3"}}
    id, outputs = client.create(DATASET, old)
    client.update(DATASET, id, old, new, outputs)
    after = real(cloud, id)
    assert not after.get("description")
    assert after["labels"] == {"goog-pulumi-provisioned": "true", "b": "3"}


def test_a_dataset_with_tables_goes_only_when_that_was_declared(client: Client) -> None:
    id, outputs = dataset(client, "shop_c")
    client.create(TABLE, table("shop_c"))
    assert refused(lambda: client.delete(DATASET, id, outputs))
    client.delete(DATASET, id, {**outputs, "deleteContentsOnDestroy": True})
    assert client.read(DATASET, id, {}, outputs) is None


def test_a_dataset_without_a_location_is_in_the_us(client: Client) -> None:
    assert client.create(DATASET, {"datasetId": "shop_us"})[1]["location"] == "US"
    assert client.diff(DATASET, {"datasetId": "shop_us"}, {"datasetId": "shop_us", "location": "us"}) == {}
    assert client.diff(DATASET, {"datasetId": "shop_us"}, {"datasetId": "shop_us", "location": "EU"}) == {
        "location": True
    }


def test_a_table_is_what_was_declared_and_reads_back_without_drift(client: Client, cloud: RunningCloud) -> None:
    dataset(client, "shop_d")
    inputs = table("shop_d", description="Rows", labels={"team": "science"})
    id, outputs = client.create(TABLE, inputs)
    found = real(cloud, id)
    assert found["timePartitioning"]["field"] == "day"
    assert found["requirePartitionFilter"] is True
    assert [c["name"] for c in found["schema"]["fields"]] == ["day", "customer", "units", "amount"]
    read = client.read(TABLE, id, inputs, outputs)
    assert read
    assert client.diff(TABLE, read[0], inputs, read[1]) == {}


def test_rows_are_no_drift(client: Client, cloud: RunningCloud) -> None:
    dataset(client, "shop_e")
    inputs = table("shop_e")
    id, outputs = client.create(TABLE, inputs)
    query(cloud, "INSERT INTO `test-project.shop_e.sales` (day, customer, units) VALUES (DATE '2031-05-04', 'a', 1)")
    read = client.read(TABLE, id, inputs, outputs)
    assert read
    assert client.diff(TABLE, read[0], inputs, read[1]) == {}
    assert read[1]["numRows"] == 1


def test_a_new_column_is_added_in_place_and_rows_stay(client: Client, cloud: RunningCloud) -> None:
    dataset(client, "shop_f")
    old = table("shop_f", "day DATE", "customer STRING")
    new = table("shop_f", "day DATE", "customer STRING", "score FLOAT64")
    id, outputs = client.create(TABLE, old)
    query(cloud, "INSERT INTO `test-project.shop_f.sales` (day, customer) VALUES (DATE '2031-05-04', 'a')")
    assert client.diff(TABLE, old, new) == {"schema": False}
    after = client.update(TABLE, id, old, new, outputs)
    assert after["numRows"] == 1
    assert [c["name"] for c in real(cloud, id)["schema"]["fields"]] == ["day", "customer", "score"]


def test_a_column_is_dropped_in_place(client: Client, cloud: RunningCloud) -> None:
    dataset(client, "shop_g")
    old, new = table("shop_g"), table("shop_g", "day DATE REQUIRED", "customer STRING REQUIRED", "units INT64")
    id, outputs = client.create(TABLE, old)
    assert client.diff(TABLE, old, new) == {"schema": False}
    client.update(TABLE, id, old, new, outputs)
    assert [c["name"] for c in real(cloud, id)["schema"]["fields"]] == ["day", "customer", "units"]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"schema": schema("day DATE", "client STRING")}, "schema"),
        ({"timePartitioning": {"type": "DAY", "field": "month"}}, "timePartitioning.field"),
        ({"datasetId": "elsewhere"}, "datasetId"),
    ],
)
def test_what_cannot_change_in_place_makes_a_new_table(client: Client, change: dict[str, Any], place: str) -> None:
    old = table("shop_h", "day DATE", "customer STRING")
    assert client.diff(TABLE, old, {**old, **change}) == {place: True}


def test_a_column_that_somebody_added_is_drift(client: Client, cloud: RunningCloud) -> None:
    dataset(client, "shop_i")
    inputs = table("shop_i")
    id, outputs = client.create(TABLE, inputs)
    query(cloud, "ALTER TABLE `test-project.shop_i.sales` ADD COLUMN stray STRING")
    read = client.read(TABLE, id, inputs, outputs)
    assert read
    assert client.diff(TABLE, read[0], inputs, read[1]) == {"schema": False}


def test_a_table_is_protected_until_the_stack_says_otherwise(client: Client, cloud: RunningCloud) -> None:
    dataset(client, "shop_j")
    inputs = {name: value for name, value in table("shop_j").items() if name != "deletionProtection"}
    id, outputs = client.create(TABLE, inputs)
    assert outputs["deletionProtection"] is True
    assert "deletionProtection" in refused(lambda: client.delete(TABLE, id, outputs))
    client.delete(TABLE, id, client.update(TABLE, id, inputs, table("shop_j"), outputs))
    assert httpx.get(f"{cloud.url}/bigquery/v2/{id}").status_code == 404


def test_a_schema_that_is_no_list_of_columns_is_refused_before_anything_is_made(client: Client) -> None:
    for text in ("{", "{}", '[{"type": "STRING"}]'):
        assert client.refusals(TABLE, {"datasetId": "d", "tableId": "t", "schema": text})[0].startswith("schema: ")


def test_a_grant_on_a_table_needs_the_table(client: Client) -> None:
    dataset(client, "shop_k")
    grant = {"project": "test-project", "datasetId": "shop_k", "tableId": "sales"}
    grant |= {"role": "roles/bigquery.dataViewer", "member": "user:a@example.com"}
    assert "does not exist" in refused(lambda: client.create(TABLE_GRANT, grant))
    client.create(TABLE, table("shop_k"))
    expected = "projects/test-project/datasets/shop_k/tables/sales/roles/bigquery.dataViewer/user:a@example.com"
    assert client.create(TABLE_GRANT, grant)[0] == expected


def test_a_table_that_exists_can_be_imported(client: Client) -> None:
    dataset(client, "shop_l")
    id, _ = client.create(TABLE, table("shop_l"))
    found = client.read(TABLE, id, {}, {})
    assert found
    assert found[0]["requirePartitionFilter"] is True
    assert found[1]["tableId"] == "sales"


def view(name: str, query: str, **more: Any) -> dict[str, Any]:
    text = {"query": query, "useLegacySql": False}
    return {"datasetId": name, "tableId": "newest", "view": text, "deletionProtection": False, **more}


def test_a_view_is_what_was_declared_and_reads_back_without_drift(client: Client, cloud: RunningCloud) -> None:
    dataset(client, "shop_m")
    client.create(TABLE, table("shop_m"))
    inputs = view("shop_m", "SELECT day, units\nFROM `test-project.shop_m.sales`", labels={"team": "science"})
    id, outputs = client.create(TABLE, inputs)
    assert real(cloud, id)["type"] == outputs["type"] == "VIEW"
    assert [column["name"] for column in json.loads(outputs["schema"])] == ["day", "units"]
    read = client.read(TABLE, id, inputs, outputs)
    assert read
    assert client.diff(TABLE, read[0], inputs, read[1]) == {}


def test_a_view_gets_another_query_in_place(client: Client, cloud: RunningCloud) -> None:
    dataset(client, "shop_n")
    client.create(TABLE, table("shop_n"))
    old, new = (view("shop_n", f"SELECT {c} FROM `test-project.shop_n.sales`") for c in ("units", "amount"))
    id, outputs = client.create(TABLE, old)
    assert client.diff(TABLE, old, new) == {"view.query": False}
    client.update(TABLE, id, old, new, outputs)
    assert [column["name"] for column in real(cloud, id)["schema"]["fields"]] == ["amount"]


def test_a_view_that_somebody_rewrote_is_drift(client: Client, cloud: RunningCloud) -> None:
    dataset(client, "shop_o")
    inputs = view("shop_o", "SELECT 1 AS one")
    id, outputs = client.create(TABLE, inputs)
    httpx.patch(f"{cloud.url}/bigquery/v2/{id}", json={"view": {"query": "SELECT 2 AS two", "useLegacySql": False}})
    read = client.read(TABLE, id, inputs, outputs)
    assert read
    assert client.diff(TABLE, read[0], inputs, read[1]) == {"view.query": False}


def test_a_view_of_a_table_that_is_not_there_is_refused(client: Client) -> None:
    dataset(client, "shop_p")
    text = refused(lambda: client.create(TABLE, view("shop_p", "SELECT 1 FROM `test-project.shop_p.sales`")))
    assert "sales" in text


def test_a_view_in_the_old_dialect_is_refused_before_anything_is_made(client: Client) -> None:
    inputs = view("shop_q", "SELECT 1") | {"view": {"query": "SELECT 1"}}
    assert client.refusals(TABLE, inputs)[0].startswith("view.useLegacySql: ")
