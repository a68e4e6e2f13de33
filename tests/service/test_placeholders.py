"""Placeholders in a model's configuration."""

from service.placeholders import expanded


def test_placeholders_are_replaced_at_any_depth_and_others_are_left() -> None:
    config = {"in": ["${data_path}", {"x": "until ${run_date}!"}], "n": 7, "own": "${HOME} $data_path ${}"}
    given = {"data_path": "/d/a.csv", "run_date": "2024-05-01"}
    assert expanded(config, given) == {
        "in": ["/d/a.csv", {"x": "until 2024-05-01!"}],
        "n": 7,
        "own": "${HOME} $data_path ${}",
    }
    assert config["n"] == 7
    assert config["in"] == ["${data_path}", {"x": "until ${run_date}!"}], "the given value is not changed"
