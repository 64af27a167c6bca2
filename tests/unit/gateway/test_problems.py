import pytest

from thumbmill.core.errors import DependencyRejected, DependencyUnavailable
from thumbmill.gateway.problems import PROBLEMS, Code, Problem, dependency_problem

_IANA = {Code.RATE_LIMITED: "https://iana.org/assignments/http-problem-types#quota-exceeded"}


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_a_status_and_a_title(code):
    problem = Problem(code, "because")
    assert problem.body() == {
        "type": _IANA.get(code, f"urn:thumbmill:problem:{code}"),
        "title": PROBLEMS[code][1],
        "status": PROBLEMS[code][0],
        "code": code,
        "detail": "because",
    }
    assert problem.response().media_type == "application/problem+json"


@pytest.mark.parametrize("code", [code for code in Code if PROBLEMS[code][0] == 503])
def test_every_503_has_a_retry_after(code):
    assert int(Problem(code).headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("dependency", "code"),
    [
        ("minio", Code.STORAGE_UNAVAILABLE),
        ("postgres", Code.DATABASE_UNAVAILABLE),
        ("rabbitmq", Code.BROKER_UNAVAILABLE),
    ],
)
@pytest.mark.parametrize("error", [DependencyUnavailable, DependencyRejected])
def test_clients_see_which_dependency_is_unavailable_and_no_details(dependency, code, error):
    problem = dependency_problem(error(dependency, "password authentication failed for 10.0.0.7"))
    assert problem.code is code
    assert "10.0.0.7" not in str(problem.body())
