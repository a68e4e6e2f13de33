"""DuckDB macros that do what GoogleSQL's functions document where DuckDB's own functions differ.

functions.py decides where each is called. `bq_error` raises, with BigQuery's words where they are known.
"""

# BIGNUMERIC has 38 digits after the point and is kept as an integer, so that it sorts and adds exactly.
_FRACTION = "rpad(coalesce(nullif(split_part(trim(x, '+-'), '.', 2), ''), '0'), 38, '0')"
_MICROS = "(extract('microsecond' FROM x) % 1000000)"
_OFFSET = "date_diff('minute', timezone('UTC', CAST(x AS TIMESTAMPTZ)), timezone(zone, CAST(x AS TIMESTAMPTZ)))"
_DECIMAL = r"[+-]?(\d+(\.\d{0,38})?|\.\d{1,38})"
_INTEGER = r"[+-]?(\d+|0[xX][0-9a-fA-F]+)"
_TYPE_OF = "typeof(x) IN ('DOUBLE', 'FLOAT') OR typeof(x) LIKE 'DECIMAL%'"

MACROS = (
    # DuckDB's own `error` cannot stand inside TRY, as SAFE. needs it; a failed cast can, and its type fits any other's.
    r"""bq_error(message) AS CAST(CAST(chr(1) || coalesce(message, 'NULL') AS INTEGER) AS "NULL")""",
    """bq_divide(a, b) AS CASE WHEN b = 0 THEN bq_error('division by zero: ' || CAST(a AS VARCHAR) || ' / '
        || CAST(b AS VARCHAR)) WHEN abs(b) < 1 AND isinf(CAST(a AS DOUBLE) / b) AND isfinite(CAST(a AS DOUBLE))
        THEN bq_error('double overflow: ' || CAST(a AS VARCHAR) || ' / ' || CAST(b AS VARCHAR)) ELSE CAST(a AS DOUBLE) / b END""",
    """bq_in_calendar(x) AS CASE WHEN year(x) NOT BETWEEN 1 AND 9999 THEN bq_error('Date overflow: ' || CAST(x AS VARCHAR))
        ELSE x END""",
    """bq_is_finite(x) AS isfinite(CAST(x AS DOUBLE))""",
    """bq_in_range(x, fine) AS CASE WHEN NOT isfinite(x) AND fine THEN bq_error('double overflow') ELSE x END""",
    """bq_safe_divide(a, b) AS CASE WHEN b <> 0 AND (isfinite(CAST(a AS DOUBLE) / b) OR NOT isfinite(CAST(a AS DOUBLE))
        OR NOT isfinite(CAST(b AS DOUBLE))) THEN CAST(a AS DOUBLE) / b END""",
    # Exact to nine digits, half away from zero, as NUMERIC is; DuckDB would answer a DOUBLE.
    """bq_units(x) AS CAST(CAST(x AS DECIMAL(38, 9)) * CAST(1000000000 AS DECIMAL(10, 0)) AS HUGEINT)""",
    """bq_from_units(x) AS CAST(CAST(x AS DECIMAL(38, 0)) * CAST(0.000000001 AS DECIMAL(9, 9)) AS DECIMAL(38, 9))""",
    """bq_divide_numeric(a, b) AS CASE WHEN b = 0 THEN bq_error('division by zero: ' || CAST(a AS VARCHAR) || ' / '
        || CAST(b AS VARCHAR)) ELSE bq_from_units(CAST(CASE WHEN (a < 0) = (b < 0) THEN 1 ELSE -1 END AS HUGEINT)
        * ((abs(bq_units(a)) * 1000000000 + abs(bq_units(b)) // 2) // abs(bq_units(b)))) END""",
    """bq_int_divide(a, b) AS CASE WHEN b = 0 THEN bq_error('division by zero: ' || CAST(a AS VARCHAR) || ' / '
        || CAST(b AS VARCHAR)) ELSE a // b END""",
    """bq_int_divide_numeric(a, b) AS CASE WHEN b = 0 THEN bq_error('division by zero: ' || CAST(a AS VARCHAR) || ' / '
        || CAST(b AS VARCHAR)) ELSE CAST(bq_units(a) // bq_units(b) AS DECIMAL(38, 9)) END""",
    """bq_numeric_of(x, name) AS CASE WHEN abs(x) >= 1e6 AND (x <> trunc(x) OR abs(x) >= 9007199254740992)
        THEN bq_error('The local warehouse does not support ' || name || ' of NUMERIC from 1000000 on; cast to FLOAT64')
        ELSE CAST(x AS DECIMAL(38, 9)) END""",
    """bq_mod(a, b) AS CASE WHEN b = 0 THEN bq_error('division by zero: MOD(' || CAST(a AS VARCHAR) || ', '
        || CAST(b AS VARCHAR) || ')') ELSE a % b END""",
    # The shortest of 15 or 17 digits that reads back the same.
    """bq_float_string(x) AS CASE WHEN isnan(CAST(x AS DOUBLE)) THEN 'nan'
        WHEN CAST(printf('%.15g', CAST(x AS DOUBLE)) AS DOUBLE) = CAST(x AS DOUBLE)
        THEN printf('%.15g', CAST(x AS DOUBLE)) ELSE printf('%.17g', CAST(x AS DOUBLE)) END""",
    """bq_numeric_string(x) AS CASE WHEN contains(CAST(x AS VARCHAR), '.')
        THEN rtrim(rtrim(CAST(x AS VARCHAR), '0'), '.') ELSE CAST(x AS VARCHAR) END""",
    f"""bq_fraction(x) AS CASE WHEN {_MICROS} = 0 THEN '' WHEN {_MICROS} % 1000 = 0
        THEN '.' || lpad(CAST({_MICROS} // 1000 AS VARCHAR), 3, '0') ELSE '.' || lpad(CAST({_MICROS} AS VARCHAR), 6, '0') END""",
    """bq_datetime_string(x) AS strftime(CAST(x AS TIMESTAMP), '%Y-%m-%d %H:%M:%S') || bq_fraction(CAST(x AS TIMESTAMP))""",
    """bq_timestamp_string(x) AS bq_datetime_string(x) || '+00'""",
    f"""bq_offset(x, zone) AS printf('%s%02d:%02d', if({_OFFSET} < 0, '-', '+'), abs({_OFFSET}) // 60, abs({_OFFSET}) % 60)""",
    """bq_zoned_string(x, zone) AS bq_datetime_string(timezone(zone, CAST(x AS TIMESTAMPTZ)))
        || regexp_replace(bq_offset(x, zone), ':00$', '')""",
    """bq_time_string(x) AS strftime(DATE '1970-01-01' + CAST(x AS TIME), '%H:%M:%S') || bq_fraction(CAST(x AS TIME))""",
    """bq_string(x) AS CASE WHEN typeof(x) IN ('DOUBLE', 'FLOAT') THEN bq_float_string(TRY_CAST(CAST(x AS VARCHAR) AS DOUBLE))
        WHEN typeof(x) LIKE 'DECIMAL%' THEN bq_numeric_string(CAST(x AS VARCHAR))
        WHEN typeof(x) = 'TIMESTAMP WITH TIME ZONE' THEN bq_timestamp_string(TRY_CAST(CAST(x AS VARCHAR) AS TIMESTAMPTZ))
        WHEN typeof(x) = 'TIMESTAMP' THEN bq_datetime_string(TRY_CAST(CAST(x AS VARCHAR) AS TIMESTAMP))
        ELSE CAST(x AS VARCHAR) END""",
    f"""bq_safe_int(x) AS CASE WHEN regexp_full_match(trim(x), '{_INTEGER}') THEN TRY_CAST(trim(x) AS BIGINT) END""",
    f"""bq_int(x) AS CASE WHEN x IS NULL THEN NULL WHEN regexp_full_match(trim(x), '{_INTEGER}') THEN CAST(trim(x) AS BIGINT)
        ELSE bq_error('Bad int64 value: ' || x) END""",
    f"""bq_to_int(x) AS CASE WHEN typeof(x) = 'VARCHAR' THEN bq_int(CAST(x AS VARCHAR))
        WHEN {_TYPE_OF} THEN CAST(round(TRY_CAST(CAST(x AS VARCHAR) AS DECIMAL(38, 9))) AS BIGINT)
        WHEN typeof(x) = 'BOOLEAN' THEN CAST(CAST(x AS VARCHAR) = 'true' AS BIGINT)
        ELSE CAST(CAST(x AS VARCHAR) AS BIGINT) END""",
    """bq_finite(result, x, name) AS CASE WHEN isinf(CAST(result AS DOUBLE)) AND isfinite(CAST(x AS DOUBLE))
        THEN bq_error('Floating point error in function: ' || name) ELSE CAST(result AS DOUBLE) END""",
    # The sign is a bit like the others.
    """bq_shift_right(x, n) AS CASE WHEN x >= 0 OR n = 0 THEN x >> n WHEN n > 63 THEN 0
        ELSE CAST((CAST(x AS HUGEINT) + 18446744073709551616) // (CAST(1 AS HUGEINT) << n) AS BIGINT) END""",
    """bq_round_int(x) AS CAST(round(x) AS BIGINT)""",
    """bq_safe_bool(x) AS CASE lower(trim(x)) WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE END""",
    """bq_bool(x) AS CASE WHEN x IS NULL THEN NULL WHEN lower(trim(x)) IN ('true', 'false') THEN lower(trim(x)) = 'true'
        ELSE bq_error('Bad bool value: ' || x) END""",
    """bq_loaded_bool(x) AS CASE WHEN lower(x) IN ('true', 't', 'yes', 'y', '1') THEN TRUE
        WHEN lower(x) IN ('false', 'f', 'no', 'n', '0') THEN FALSE END""",
    f"""bq_bignumeric(x) AS CASE WHEN x IS NULL THEN NULL WHEN regexp_full_match(x, '{_DECIMAL}')
        THEN CAST(CASE WHEN starts_with(x, '-') THEN '-' ELSE '' END
        || coalesce(nullif(ltrim(split_part(trim(x, '+-'), '.', 1) || {_FRACTION}, '0'), ''), '0') AS BIGNUM)
        ELSE bq_error('Invalid BIGNUMERIC value: ' || x) END""",
    """bq_bignumeric_string(x) AS CASE WHEN CAST(x AS VARCHAR) = '0' THEN '0' ELSE
        (CASE WHEN starts_with(CAST(x AS VARCHAR), '-') THEN '-' ELSE '' END)
        || coalesce(nullif(left(lpad(ltrim(CAST(x AS VARCHAR), '-'), 78, '0'), 40).ltrim('0'), ''), '0')
        || rtrim('.' || rtrim(right(lpad(ltrim(CAST(x AS VARCHAR), '-'), 78, '0'), 38), '0'), '.') END""",
    # What is indexed may turn out to be JSON: there places count from 0, and one that is not there is NULL.
    """bq_at(list, i) AS CASE WHEN list IS NULL OR i IS NULL THEN NULL
        WHEN typeof(list) = 'JSON' THEN CASE WHEN i >= 0 THEN list[i] END WHEN i < 0 OR i >= len(list)
        THEN bq_error('Array index ' || CAST(i AS VARCHAR) || ' is out of bounds') ELSE list[i + 1] END""",
    """bq_whole(list, name) AS CASE WHEN list_count(list) < len(list)
        THEN bq_error('Array cannot have a null element; error in writing field ' || name) ELSE coalesce(list, []) END""",
    """bq_safe_at(list, i) AS CASE WHEN i >= 0 THEN list[i + 1] END""",
    """bq_substr(x, s) AS CASE WHEN s = 0 THEN x ELSE substring(x, greatest(s, -length(x))) END,
        (x, s, n) AS CASE WHEN n < 0 THEN bq_error('Third argument in SUBSTR() cannot be negative')
        ELSE substring(x, CASE WHEN s = 0 OR s < -length(x) THEN 1 ELSE s END, n) END""",
    """bq_limited(x, n, name) AS CASE WHEN (CASE typeof(x) WHEN 'BLOB' THEN octet_length(TRY_CAST(x AS BLOB))
        ELSE length(TRY_CAST(x AS VARCHAR)) END) > n
        THEN bq_error('Value is longer than ' || name || '(' || CAST(n AS VARCHAR) || ')') ELSE x END""",
    """bq_length(n, name) AS CASE WHEN n < 0 THEN bq_error('Second argument in ' || name || '() cannot be negative') ELSE n END""",
    """bq_top_count(counts, n) AS list_transform(list_slice(list_sort(list_transform(map_entries(counts),
        lambda e: {'order': -e.value, 'key': e.key})), 1, n), lambda e: {'value': e.key, 'count': -e."order"})""",
    """bq_array_concat(a, b) AS CASE WHEN a IS NOT NULL AND b IS NOT NULL THEN list_concat(a, b) END""",
    """bq_step(x) AS CASE WHEN x = 0 THEN bq_error('Sequence step cannot be 0.') ELSE x END""",
    """bq_range_bucket(x, bounds) AS CASE WHEN x IS NULL OR bounds IS NULL THEN NULL
        ELSE len(list_filter(bounds, lambda e: e <= x)) END""",
    """bq_instr(x, part, place, n) AS CASE WHEN n < 1 OR place = 0 THEN bq_error('INSTR: position and occurrence must be positive')
        WHEN x IS NULL OR part IS NULL THEN NULL WHEN part = '' THEN 0 ELSE coalesce(list_filter(CASE WHEN place > 0
        THEN range(place, length(x) + 1) ELSE range(length(x) + place + 1, 0, -1) END,
        lambda i: substring(x, i, length(part)) = part)[n], 0) END""",
    # U+FFFD ought to stand for what is no UTF-8.
    """bq_decoded(x) AS CASE WHEN try(decode(x)) IS NULL AND x IS NOT NULL
        THEN bq_error('The local warehouse does not support SAFE_CONVERT_BYTES_TO_STRING of bytes that are no UTF-8')
        ELSE try(decode(x)) END""",
    """bq_code_points(x) AS list_transform(string_split(x, ''), lambda c: unicode(c))""",
    """bq_from_code_points(x) AS array_to_string(list_transform(x, lambda c: chr(CAST(c AS INTEGER))), '')""",
    # Weeks of a year that begin on a day of the week, counted from Sunday.
    """bq_week(x, first) AS (dayofyear(x) + 6 - (dayofweek(x) - first + 7) % 7) // 7""",
    # Casts to VARIANT leave one of several values of a name.
    """bq_names_once(x) AS len(json_extract(x, '$..*')) = len(json_extract(CAST(CAST(x AS VARIANT) AS JSON), '$..*'))""",
    """bq_json(x) AS CASE WHEN NOT bq_names_once(x)
        THEN bq_error('The local warehouse does not support JSON with a name twice in one object') ELSE x END""",
    """bq_json_type(x) AS CASE json_type(x) WHEN 'VARCHAR' THEN 'string' WHEN 'UBIGINT' THEN 'number'
        WHEN 'BIGINT' THEN 'number' WHEN 'DOUBLE' THEN 'number' WHEN 'HUGEINT' THEN 'number' ELSE lower(json_type(x)) END""",
    """bq_json_as(x, types, name) AS CASE WHEN x IS NULL OR contains(types, json_type(x)) THEN json_extract_string(x, '$')
        ELSE bq_error('The provided JSON input is not ' || name) END""",
    """bq_string_of(x) AS CASE WHEN typeof(x) = 'JSON'
        THEN bq_json_as(TRY_CAST(CAST(x AS VARCHAR) AS JSON), 'VARCHAR', 'a string') ELSE bq_string(x) END""",
    """bq_json_int(x) AS CASE WHEN x <> trunc(x) THEN bq_error('The provided JSON number: ' || bq_numeric_string(x)
        || ' cannot be converted to an integer') ELSE CAST(x AS BIGINT) END""",
    """bq_to_json_string(x) AS coalesce(CAST(to_json(x) AS VARCHAR), 'null')""",
    """bq_interval_string(x) AS CAST(datepart('year', x) AS VARCHAR) || '-' || CAST(datepart('month', x) AS VARCHAR) || ' '
        || CAST(datepart('day', x) AS VARCHAR) || ' ' || CAST(datepart('hour', x) AS VARCHAR) || ':'
        || CAST(datepart('minute', x) AS VARCHAR) || ':' || rtrim(rtrim(printf('%.6f',
        (datepart('microsecond', x)) / 1e6), '0'), '.')""",
)
