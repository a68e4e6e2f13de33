"""What people read when something fails, and with which exit code."""

import pytest

from service.errors import BadData, BadUsage, ServiceError, UpstreamFailed


@pytest.mark.parametrize(("kind", "code"), [(BadUsage, 2), (BadData, 3), (UpstreamFailed, 4)])
def test_each_kind_of_failure_has_its_exit_code(kind: type[ServiceError], code: int) -> None:
    assert kind("It failed.", "Repeat it.").exit_code == code


def test_a_text_says_where_what_and_what_to_do() -> None:
    error = BadData("Column 'age' has '3' nulls.", "Fill them.", where="table 'p.d.people'")
    assert str(error) == "table 'p.d.people': Column 'age' has '3' nulls. Fill them."
    assert str(BadData("Nothing is left.", "Repeat it.")) == "Nothing is left. Repeat it."
