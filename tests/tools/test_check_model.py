"""A new model keeps the contract at once, and whoever breaks it is told how in words about their own files."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet
import pytest

from service import spec
from service.errors import BadData, BadUsage, ServiceError
from tests.conftest import ROOT
from tests.waiting import until
from tools import check_model, check_shares, check_sql, new_model, sample_rows


@pytest.fixture(params=["churn"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return new_model.make(request.param, tmp_path)


def replaced(file: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return change


def removed(file: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).unlink()


def both(*changes: Callable[[Path], None]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for each in changes:
            each(folder)

    return change


def in_latin_1(file: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / file
        path.write_bytes(path.read_bytes().replace(old.encode(), new.encode("latin-1"), 1))

    return change


def of_table(sql: str) -> Callable[[Path], None]:
    reads = "{sql: training.sql}\n  reads: [shop.customers]"
    change = replaced("model.yaml", "{file: samples/training.csv}", reads)
    return both(change, written("training.sql", sql))


def written(file: str, text: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / file).write_text(text)

    return change


def cut_to_header(folder: Path) -> None:
    path = folder / "samples" / "application.csv"
    path.write_text(path.read_text().partition("\n")[0] + "\n")


MAIN = "source/churn/main.py"
HEADER = 'rows.writerow(["customer_id", "probability"])'
VALUES = '[row["customer_id"], shares.get(row["group"], 0.5)] for row in read(config)'
MISTAKES: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing main.py": (removed(MAIN), r"There is no file '.*/churn/main.py'"),
    "missing schema": (removed("schema.json"), r"model.yaml, output.schema: There is no file '.*schema.json'"),
    "missing sample": (removed("samples/training.csv"), r"There is no file '.*samples/training.csv'"),
    "unknown key": (replaced("model.yaml", "owner:", "owned_by:"), r"Unknown key 'owned_by'. Did you mean 'owner'"),
    "wrong column": (replaced(MAIN, HEADER, HEADER.replace("probability", "score")), "'score', not in schema.json"),
    "key lost": (replaced(MAIN, VALUES, VALUES + ' if row["customer_id"] != "021"'), "not predicted.*'021'"),
    "key twice": (replaced(MAIN, VALUES, VALUES.replace("read(config)", "read(config) * 2")), "more than once|twice"),
    "wrong type": (replaced(MAIN, 'shares.get(row["group"], 0.5)]', '"high"]'), "'probability'.*FLOAT64"),
    "out of bounds": (replaced(MAIN, 'shares.get(row["group"], 0.5)]', "7]"), "'probability'.*more than 1"),
    "unseeded application": (
        replaced(MAIN, 'shares.get(row["group"], 0.5)]', "__import__('random').random()]"),
        "other predictions each time for the same rows. Seed every",
    ),
    "unseeded training": (
        replaced(MAIN, "/ (len(outcomes) + 2)", "/ (len(outcomes) + 2 + __import__('random').random())"),
        "learns something else each time",
    ),
    "platform package": (
        replaced(MAIN, "import json", "import json\nfrom google.cloud import storage"),
        r"main.py, line 13: It imports 'google.cloud', which belongs to the platform. Read data_path",
    ),
    "not Python": (replaced(MAIN, "def train(", "def train(("), r"main.py, line \d+: This is not Python"),
    "crash": (replaced(MAIN, '"shares.json").write_text', '"no/shares.json").write_text'), "No such file"),
    "nothing learnt": (replaced(MAIN, '{"training": train', '{"training": read'), "left no file in its output_path"),
    "nothing predicted": (replaced(MAIN, '"application": apply', '"application": read'), "left no predictions"),
    "package not locked": (
        replaced(MAIN, "import json", "import json\nimport polars"),
        "'polars' into requirements.in",
    ),
    "other config key": (
        replaced(MAIN, 'config["data_path"]', 'config["rows"]'),
        r"'rows' is neither a key of training.json, which has \['data_path', .* nor a column of the rows: \['cust",
    ),
    "written beside the code": (
        replaced(MAIN, 'Path(config["output_path"], "predictions.csv")', 'Path("predictions.csv")'),
        r"The application wrote '.*/source/predictions.csv', beside its code.*Write to output_path only",
    ),
    "no sample rows": (
        cut_to_header,
        r"application.csv' holds no rows",
    ),
    "place of the training kept": (
        both(
            replaced(MAIN, "json.dumps(shares)", 'json.dumps(shares | {"at": config["output_path"]})'),
            replaced(
                MAIN,
                '"shares.json").read_text())',
                '"shares.json").read_text())\n    open(shares["at"] + "/shares.json")',
            ),
        ),
        r"No such file or directory: [\s\S]*is elsewhere each time: find them by model_path",
    ),
    "name of the manifest": (
        replaced(MAIN, '"shares.json").write_text', '"manifest.json").write_text'),
        "a name that versions use themselves",
    ),
    "sample not whole": (
        replaced("samples/application.csv", "020,c", "020,c,1"),
        r"samples/application.csv: 'application.csv' cannot be read as csv: .* Expected Number of Columns: 2 Found: 3",
    ),
    "not UTF-8": (
        in_latin_1(MAIN, "replace it by your model", "Größe"),
        r"main.py, line \d+: This is not Python: .*'utf-8'",
    ),
    "model.yaml not UTF-8": (in_latin_1("model.yaml", "Say here", "Größe"), r"model.yaml, line 7: This is not UTF-8"),
    "module of the package": (
        both(
            replaced(MAIN, "import json", "import json\nimport features"),
            lambda folder: Path(folder, "source/churn/features.py").touch(),
        ),
        r"'churn/features.py' is part of a package: `from churn import features`",
    ),
    "platform package by its name": (
        replaced(MAIN, "import json", "import json\n__import__('airflow')"),
        "'airflow' belongs to the platform: read data_path",
    ),
    "key as a number": (
        replaced(MAIN, '[row["customer_id"], shares', '[int(row["customer_id"]), shares'),
        "The keys were read as numbers. Read them as text: `dtype={'customer_id': str}`",
    ),
    "with an index": (
        both(
            replaced(MAIN, HEADER, HEADER.replace('["', '["", "')),
            replaced(MAIN, '[row["customer_id"], shares', '[0, row["customer_id"], shares'),
        ),
        "Write them without the index of the rows: `index=False`",
    ),
    "semicolons": (
        replaced(MAIN, "csv.writer(file)", "csv.writer(file, delimiter=';')"),
        "Separate the columns by comm",
    ),
    "misspelt parameter": (of_table("SELECT * FROM shop.customers WHERE day < @rundate"), "'@rundate' has no value"),
    "undeclared table": (
        of_table("SELECT * FROM shop.customers JOIN shop.orders USING (id) WHERE day < @run_date"),
        r"training.sql: The SQL reads 'shop.orders', which training.reads in model.yaml does not list",
    ),
    "no dataset": (of_table("SELECT * FROM customers WHERE day < @run_date"), "Write dataset.customers, and list it"),
    "no query": (of_table(" -- SELECT 1"), "training.sql: The file holds no query. Write one SELECT"),
    "two queries": (of_table("SELECT 1; SELECT 2"), "not one query, but 2 statements"),
    "no evaluation": (
        replaced("model.yaml", "output:", "evaluation: {config: training.json}\noutput:"),
        "argument --action: invalid choice: 'evaluation'",
    ),
    "metric not said": (
        replaced("model.yaml", "output:", "gates: {promotion: {metrics: {auc: {minimum: 0.6}}}}\noutput:"),
        "The training's metrics.json says 'None' for 'auc', and not a number",
    ),
    "not a number": (replaced(MAIN, 'shares.get(row["group"], 0.5)]', '"nan"]'), "'probability' is NaN"),
}


def test_a_new_model_keeps_the_contract_and_passes_its_own_tests(folder: Path) -> None:
    assert "'churn' keeps the contract: 30 predictions, the same each time" in check_model.check(folder)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", str(folder / "tests")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    written = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert "NAME" not in "".join(path.read_text() for path in written)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_told_with_its_place(folder: Path, mistake: str) -> None:
    change, expected = MISTAKES[mistake]
    change(folder)
    with pytest.raises(ServiceError, match=expected):
        check_model.check(folder)


SUSPECT: dict[str, tuple[Callable[[Path], None], str]] = {
    "clock": (
        replaced(MAIN, "import json", "import json\nimport datetime\nTODAY = datetime.date.today()"),
        r"main.py, line 14: 'date.today' tells another day .* \$\{run_date\}",
    ),
    "placeholder": (
        written("training.json", '{"day": "${run_dat}"}'),
        r"training.json: '\$\{run_dat\}' stays as it is; replaced are .*\$\{run_date\}",
    ),
    "file of this machine": (
        lambda folder: replaced(MAIN, "import json", f"import json\nLOOKUP = {str(folder / 'model.yaml')!r}")(folder),
        "model.yaml' is a file of this machine, which the image lacks",
    ),
    "no run date": (of_table("SELECT * FROM shop.customers"), "training.sql: @run_date does not occur"),
    "not understood": (of_table("SELECT ("), "training.sql: not understood as a query: .* line 1"),
}


@pytest.mark.parametrize("kind", SUSPECT)
def test_what_is_seldom_right_is_noted(folder: Path, kind: str) -> None:
    change, expected = SUSPECT[kind]
    assert "note" not in check_model.check(folder)
    change(folder)
    line, note = check_model.check(folder).splitlines()
    assert "keeps the contract" in line
    assert re.match(f"note: .*{expected}", note), note


SQL = """
WITH recent AS (SELECT * FROM `acme-shop.shop.customers` WHERE day < @RUN_DATE)
SELECT c.id, item, @@time_zone FROM recent AS c, c.items AS item JOIN shop.customers$20240101 USING (id)
JOIN shop.`visits_*` USING (id) JOIN shop.INFORMATION_SCHEMA.TABLES ON TRUE JOIN UNNEST([1]) AS one ON TRUE;
"""


def test_sql_that_bigquery_may_take_is_not_refused(folder: Path) -> None:
    of_table(SQL)(folder)
    model = spec.load(folder)
    assert (list(check_sql.faults(model)), list(check_sql.notes(model))) == ([], [])


def test_a_model_cannot_spoil_its_sample_rows(folder: Path) -> None:
    before = (folder / "samples" / "training.csv").read_bytes()
    replaced(MAIN, "shares = {", 'Path(config["data_path"]).unlink()\n    shares = {')(folder)
    assert "keeps the contract" in check_model.check(folder)
    assert (folder / "samples" / "training.csv").read_bytes() == before


def test_a_model_without_an_end_is_ended(folder: Path) -> None:
    replaced(MAIN, "counts: dict", "while True: pass\n    counts: dict")(folder)
    with pytest.raises(BadData, match=r"The training has not ended after 1 seconds .* --limit SECONDS"):
        check_model.check(folder, limit_seconds=1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_check_that_is_stopped_leaves_nothing(folder: Path, number: signal.Signals) -> None:
    began = folder.parent / "began"
    replaced(
        MAIN,
        "counts: dict",
        f"Path({str(began)!r}).write_text(str(__import__('os').getpid()))\n    while True: pass\n    counts: dict",
    )(folder)
    code = "import sys; from pathlib import Path; from service import spec; from tools import check_model; "
    code += f"spec.MODELS = Path({str(folder.parent)!r}); sys.exit(check_model.main())"
    command = [sys.executable, "-c", code, "--name", folder.name]
    scratch = folder.parent / "scratch"
    scratch.mkdir()
    environment = os.environ | {"TMPDIR": str(scratch)}
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=environment) as process:
        until(lambda: began.is_file() and began.read_text() != "")
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (130, "stopped\n")
    assert list(scratch.iterdir()) == []
    assert not Path("/proc", began.read_text()).exists(), "the model ends with it"


def test_a_model_that_reads_parquet_is_given_numbers_and_keys_as_they_will_come(folder: Path) -> None:
    for action in ("training", "application"):
        replaced("model.yaml", f"samples/{action}.csv}}", f"samples/{action}.csv, format: parquet}}")(folder)

    def kinds(action: str) -> dict[str, str]:
        model = spec.load(folder)
        (path,) = sample_rows.as_read(model, action, sample_rows.of_action(model, action), folder).paths
        return {field.name: str(field.type) for field in pyarrow.parquet.read_schema(path)}

    assert kinds("application") == {"customer_id": "string", "group": "string"}
    assert kinds("training")["outcome"] == "int64"
    replaced("schema.json", '"type": "STRING"', '"type": "INT64"')(folder)
    assert kinds("application") == {"customer_id": "int64", "group": "string"}


def test_the_shares_of_a_model_that_reads_parquet_have_the_types_of_the_whole(folder: Path) -> None:
    """Each share was text once more, and a model that counts days stopped at it."""
    SHARED(folder)
    replaced("model.yaml", "samples/application.csv}", "samples/application.csv, format: parquet}")(folder)
    replaced("samples/application.csv", "\n", ",visits\n")(folder)
    sample = folder / "samples" / "application.csv"
    header, *lines = sample.read_text().splitlines()
    sample.write_text("\n".join([header, *(f"{line},{at}" for at, line in enumerate(lines))]))
    reads = """if config["data_path"].endswith("parquet"):
        import duckdb
        found = duckdb.read_parquet(config["data_path"])
        assert str(found.types[2]) == "BIGINT", found.types
        return [dict(zip(found.columns, row)) for row in found.fetchall()]
    with Path(config["data_path"])"""
    replaced(MAIN, 'with Path(config["data_path"])', reads)(folder)
    work = folder.parent / "work"
    work.mkdir()
    trial = check_model.Trial(spec.load(folder), sys.executable, work, check_model.RUN_DATE)
    version = trial.run("training", "version")
    whole = trial.run("application", "whole", version)
    assert check_shares.check(trial, sample_rows.of_action(trial.model, "application"), version, whole) == 3


def test_a_model_that_reads_a_table_needs_sample_rows(folder: Path) -> None:
    (folder / "training.sql").write_text("SELECT 1")
    replaced("model.yaml", "{file: samples/training.csv}", "{sql: training.sql}\n  reads: [shop.customers]")(folder)
    assert "keeps the contract" in check_model.check(folder)
    (folder / "samples" / "training.csv").unlink()
    with pytest.raises(BadUsage, match=r"no sample rows '.*samples/training.csv' to try the training on"):
        check_model.check(folder)


SHARED = replaced("model.yaml", "config: application.json", "config: application.json\n  tasks: 3")
RANKED = "[row['customer_id'], at / len(rows)] for rows in [read(config)] for at, row in enumerate(rows)"
LOOKS_ASIDE: dict[str, tuple[Callable[[Path], None], str]] = {
    "ranks": (
        replaced(MAIN, VALUES, RANKED),
        r"something else for \d+ keys .* rows of one task alone: 'probability' of '0\d\d' is 0\.\d+ instead of 0\.\d+",
    ),
    "needs many rows": (
        replaced(MAIN, VALUES, VALUES + " if len(read(config)) > 20"),
        r"Given the rows of one task \(\d+ of them\) alone, 'churn' predicts something else:\n- In the input, but not",
    ),
    "stops at few rows": (replaced(MAIN, VALUES, VALUES + " if len(read(config)) > 20 or exit('too few')"), "too few"),
}


@pytest.mark.parametrize("kind", LOOKS_ASIDE)
def test_a_shared_model_that_looks_at_other_rows_is_told_so(folder: Path, kind: str) -> None:
    change, expected = LOOKS_ASIDE[kind]
    change(folder)
    assert "keeps the contract" in check_model.check(folder), "alone it is a good model"
    SHARED(folder)
    with pytest.raises(ServiceError, match=expected) as told:
        check_model.check(folder)
    assert "model.yaml shares the application among 3 tasks" in str(told.value)
    assert "or take `tasks` out" in str(told.value)


def test_a_shared_model_that_minds_its_own_rows_is_good(folder: Path) -> None:
    SHARED(folder)
    assert "30 predictions, the same each time, and in 3 shares" in check_model.check(folder)


@pytest.mark.parametrize("name", ["Churn", "runs", "all_latest", "x" * 21, "../churn", ""])
def test_a_name_that_does_not_do_makes_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadUsage):
        new_model.make(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_is_there_is_not_overwritten(folder: Path) -> None:
    with pytest.raises(BadUsage, match="exists already"):
        new_model.make(folder.name, folder.parent)


def test_the_commands_end_with_a_reason_and_no_traceback() -> None:
    for tool, name in (("new_model", "runs"), ("check_model", "absent")):
        command = [sys.executable, "-m", f"tools.{tool}", "--name", name]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr.startswith("error: ")) == (2, "", True), done.stderr
    assert not (spec.MODELS / "runs").exists()


@pytest.mark.parametrize("tool", ["setup", "pulumi_cli"])
def test_a_question_for_help_does_no_work(tool: str) -> None:
    command = [sys.executable, str(ROOT / "tools" / f"{tool}.py"), "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.startswith("usage:")


@pytest.mark.soak
def test_the_example_model_keeps_the_contract_on_its_own_sample_rows() -> None:
    assert "'customer_value' keeps the contract: 118 predictions" in check_model.check(spec.MODELS / "customer_value")
