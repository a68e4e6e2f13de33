"""The mathematics, against the definitions that the paper starts from."""

import itertools

import numpy as np
import pytest
from customer_value import bgnbd
from customer_value.bgnbd import LIMITS, Floats, Parameters, expected_purchases, fit, log_likelihood, probability_alive
from customer_value.transactions import Histories, InputRefused
from scipy.optimize import approx_fprime  # type: ignore[import-untyped]  # scipy ships no types
from scipy.special import roots_genlaguerre, roots_jacobi  # type: ignore[import-untyped]  # as above

# Ordinary, all alike, quick to leave (a + b < 1), next to the pole at a = 1, and few who ever leave.
PARAMETERS = [
    Parameters(0.24, 4.4, 0.79, 2.4),
    Parameters(8.0, 30.0, 2.5, 6.0),
    Parameters(0.5, 2.0, 0.2, 0.3),
    Parameters(0.7, 9.0, 1.0, 3.0),
    Parameters(1.3, 12.0, 0.02, 4.0),
]


def histories(*rows: tuple[float, float, float]) -> Histories:
    """Customers of (repeats, recency, age)."""
    columns = np.array(rows, dtype=float).T
    return Histories([f"c{i}" for i in range(len(rows))], columns[0], columns[1], columns[2])


FEW = histories((0, 0, 0), (0, 0, 38.9), (1, 30.5, 31.0), (2, 30.43, 38.86), (29, 37.0, 38.1))


def simulated(true: Parameters, customers: int) -> Histories:
    """Customers who buy and leave as the model says, seen for 20 to 80 weeks."""
    rng = np.random.default_rng(2005)
    rows = []
    for _ in range(customers):
        rate, leave, age = rng.gamma(true.r) / true.alpha, rng.beta(true.a, true.b), rng.uniform(20, 80)
        repeats, recency, time = 0, 0.0, rng.exponential(1 / rate)
        while time < age:
            repeats, recency = repeats + 1, time
            time = np.inf if rng.random() < leave else time + rng.exponential(1 / rate)
        rows.append((repeats, recency, age))
    return histories(*rows)


def beta_mean(a: float, b: float) -> tuple[Floats, Floats]:
    """Probabilities and weights, so that the weighted sum of f is the mean of f over a beta distribution."""
    nodes, weights = roots_jacobi(60, b - 1, a - 1)
    return (1 + nodes) / 2, weights / weights.sum()


def gamma_mean(r: float, alpha: float) -> tuple[Floats, Floats]:
    """The same for rates of buying, over a gamma distribution."""
    nodes, weights = roots_genlaguerre(60, r - 1)
    return nodes / alpha, weights / weights.sum()


@pytest.mark.parametrize("parameters", PARAMETERS)
@pytest.mark.parametrize(("x", "last", "age"), [(0, 0.0, 5.0), (1, 2.0, 6.0), (3, 4.5, 5.0)])
def test_the_likelihood_is_that_of_the_mixture(parameters: Parameters, x: int, last: float, age: float) -> None:
    p, p_weight = beta_mean(parameters.a, parameters.b)
    rate, rate_weight = gamma_mean(parameters.r, parameters.alpha)
    # For one customer: bought x times, then either stayed and was silent, or left with the last purchase.
    stayed = np.outer((1 - p) ** x, rate**x * np.exp(-rate * age))
    left = np.outer(p * (1 - p) ** (x - 1), rate**x * np.exp(-rate * last)) if x else 0.0
    likelihood = p_weight @ (stayed + left) @ rate_weight
    assert log_likelihood(parameters, histories((x, last, age))) == pytest.approx(np.log(likelihood), abs=1e-6)


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_the_gradient_is_the_slope_of_the_likelihood(parameters: Parameters) -> None:
    values = parameters.array()
    slope = approx_fprime(values, lambda v: log_likelihood(Parameters(*v), FEW), 1e-7 * values)
    assert bgnbd._value_and_gradient(values, FEW)[1] == pytest.approx(slope, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("parameters", PARAMETERS)
@pytest.mark.parametrize("weeks", [0.5, 12.857, 500.0])
def test_the_expectation_is_that_of_the_mixture(parameters: Parameters, weeks: float) -> None:
    r, alpha, a, b = parameters.array()
    expected = expected_purchases(parameters, FEW, weeks)
    alive = probability_alive(parameters, FEW)
    for i, (x, age) in enumerate(zip(FEW.repeats, FEW.age, strict=True)):
        # Who leaves with probability p after each purchase is expected to buy (1 - exp(-rate p weeks)) / p times; the
        # mean over the rates has a closed form.
        p, weight = beta_mean(a, b + x)
        by_hand = weight @ (-np.expm1(-(r + x) * np.log1p(p * weeks / (alpha + age))) / p)
        assert expected[i] == pytest.approx(alive[i] * by_hand, rel=1e-4)


def test_expectations_are_finite_up_to_the_limits_of_the_fit() -> None:
    ages = histories((0, 0, 0.2), (0, 0, 52), (3, 50, 52), (200, 150, 150.1), (2000, 300, 300.01))
    for values in itertools.product(
        (LIMITS[0][0], 1, LIMITS[0][1]), (5, 1e3, 1e7), *((x[0], 1, x[1]) for x in LIMITS[2:])
    ):
        expected = expected_purchases(Parameters(*map(float, values)), ages, 12.857)
        assert (expected >= 0).all(), values


def test_parameters_beyond_computation_are_refused_instead_of_writing_not_a_number() -> None:
    with pytest.raises(InputRefused, match=r"no expectation can be computed for customer 'c0' with Parameters\(r=3"):
        expected_purchases(Parameters(3, 0.1, 7, 20000), FEW, 1)


def test_one_time_buyers_are_alive_for_certain() -> None:
    assert probability_alive(PARAMETERS[0], FEW)[:2].tolist() == [1.0, 1.0]


def test_long_silence_after_many_purchases_means_gone() -> None:
    silent = histories((20, 10, 11), (20, 10, 20), (20, 10, 200), (2000, 100, 50000))
    alive = probability_alive(PARAMETERS[0], silent)
    assert (np.diff(alive) < 0).all()
    assert alive[-1] == pytest.approx(0)


def test_customers_with_thousands_of_purchases_have_finite_expectations() -> None:
    busy = histories((300, 300, 300.1), (3000, 299, 300), (20000, 300, 300.01))
    expected = expected_purchases(PARAMETERS[0], busy, 12.857)
    assert np.isfinite(expected).all()
    assert (expected > 0).all()


def test_a_fit_finds_the_parameters_behind_the_purchases() -> None:
    true = Parameters(0.6, 8.0, 0.8, 3.0)
    found, likelihood = fit(simulated(true, 6000))
    assert likelihood >= log_likelihood(true, simulated(true, 6000)), "the maximum lies above the truth"
    assert found.array() == pytest.approx(true.array(), rel=0.2)


def test_the_same_histories_give_the_same_parameters() -> None:
    seen = simulated(PARAMETERS[0], 400)
    assert fit(seen) == fit(seen)


def test_without_repeat_customers_nothing_is_fitted() -> None:
    with pytest.raises(InputRefused, match="no customer has bought on two days"):
        fit(histories((0, 0, 5), (0, 0, 7)))
