"""How a value of each type may be written as text, and the DuckDB macros that read such text and no other.

casts.py decides where they are called. `bq_safe_date` and its kin answer NULL for other text, `bq_date` and its kin raise.
"""

_DATE, _CLOCK = r"\d{4}-\d{1,2}-\d{1,2}", r"(?:[01]?\d|2[0-3]):\d{1,2}:\d{1,2}(?:\.\d{0,6})?"
_ZONE = r"[Zz]| ?[+-]\d{1,2}(?::\d{1,2})?| [A-Za-z_]+(?:/[A-Za-z0-9_+-]+)*"
_NUMBER = r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*"
# By type: https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical#literals
FORMS = {
    "DATE": _DATE,
    "TIME": _CLOCK,
    "DATETIME": f"{_DATE}(?:[ Tt]{_CLOCK})?",
    "TIMESTAMP": f"{_DATE}(?:[ Tt]{_CLOCK})?(?:{_ZONE})?",
    "FLOAT64": rf"{_NUMBER}|\s*[+-]?(?i:inf|infinity|nan)\s*",
    "NUMERIC": _NUMBER,
}
# What DuckDB reads as it stands, and nearly all timestamps that there are.
PLAIN_TIMESTAMP = r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d(?::\d\d)?)?)?"

_PARTS = f"regexp_extract(x, '^({_DATE})([ Tt]{_CLOCK})?({_ZONE})?$', "
_ZONE_PART = f"regexp_replace(replace({_PARTS}3), 'z', 'Z'), '^ ([+-])', '\\1')"
_ZONE_PART = rf"regexp_replace({_ZONE_PART}, '^([+-])(\d)(:|$)', '\10\2\3')"
_SPREAD = f"{_PARTS}1) || ' ' || coalesce(nullif(substr({_PARTS}2), 2), ''), '00:00:00') || {_ZONE_PART}"
_READ = {
    "DATE": "TRY_CAST(x AS DATE)",
    "TIME": "TRY_CAST(x AS TIME)",
    "DATETIME": "TRY_CAST(replace(x, 't', ' ') AS TIMESTAMP)",
    "TIMESTAMP": f"TRY_CAST(CASE WHEN regexp_full_match(x, '{PLAIN_TIMESTAMP}') THEN x ELSE {_SPREAD} END AS TIMESTAMPTZ)",
    "FLOAT64": "CASE WHEN isfinite(TRY_CAST(x AS DOUBLE)) OR x ILIKE '%n%' THEN TRY_CAST(x AS DOUBLE) END",
    "NUMERIC": "TRY_CAST(x AS DECIMAL(38, 9))",
}
_FAULTS = {"FLOAT64": "'Bad double value: ' || x", "NUMERIC": "'Invalid NUMERIC value: ' || x"}


def _macros() -> list[str]:
    made = []
    for name, form in FORMS.items():
        kind = name.lower()
        fault = _FAULTS.get(name, f"'Invalid {kind}: ''' || x || ''''")
        made.append(f"bq_safe_{kind}(x) AS CASE WHEN regexp_full_match(x, '{form}') THEN {_READ[name]} END")
        made.append(f"bq_{kind}(x) AS coalesce(bq_safe_{kind}(x), CASE WHEN x IS NOT NULL THEN bq_error({fault}) END)")
    return made


READING = _macros()
