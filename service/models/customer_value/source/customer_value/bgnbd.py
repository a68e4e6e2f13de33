"""BG/NBD: how often customers buy while they are customers, and after which purchase they leave.

Fader, Hardie and Lee, "Counting Your Customers" the Easy Way (Marketing Science 24(2), 2005), cited as FHL.
Buying is Poisson with a rate that is gamma (r, alpha) over customers; after each repeat purchase a customer leaves with
a probability that is beta (a, b) over customers. The unit of time is whatever Histories has: the week.
Does not own reading or dates.
"""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, minimize  # type: ignore[import-untyped]  # scipy ships no types
from scipy.special import betaln, digamma, expit, gammaln, hyp2f1  # type: ignore[import-untyped]  # as above

from customer_value.transactions import Histories, InputRefused

Floats = NDArray[np.float64]

# r, alpha, a, b from which the search begins: buyers alike and unlike, quick and slow to leave. A fixed list keeps
# the fit free of chance; the best end wins.
STARTS = ((1.0, 1.0, 1.0, 1.0), (0.25, 5.0, 0.8, 2.5), (0.1, 20.0, 0.1, 5.0), (5.0, 50.0, 0.5, 0.5))
# Least and greatest r, alpha, a, b. At 100 customers hardly differ any more, and more would change no prediction but
# take scipy's hyp2f1 to where its sums overflow.
LIMITS = ((1e-4, 100.0), (1e-3, 1e7), (1e-4, 100.0), (1e-4, 100.0))
PRECISION = {"ftol": 1e-13, "gtol": 1e-8}  # of the mean log-likelihood: parameters are then good to five digits
NEAR_ONE = 1e-6  # FHL (10) divides by a - 1; so near to 1 the quotient has lost half of its digits


@dataclass(frozen=True)
class Parameters:
    """The four parameters, all positive; 1 / alpha is in purchases per week."""

    r: float
    alpha: float
    a: float
    b: float

    def array(self) -> Floats:
        """In the order r, alpha, a, b."""
        return np.array(list(asdict(self).values()))


def log_likelihood(parameters: Parameters, histories: Histories) -> float:
    """Logarithm of the probability of all histories, summed over customers (FHL, section 5)."""
    return _value_and_gradient(parameters.array(), histories)[0]


def fit(histories: Histories) -> tuple[Parameters, float]:
    """Find the parameters of maximum likelihood; the same histories give the same parameters.

    Returns:
        The parameters and their log-likelihood.

    Raises:
        InputRefused: no customer bought twice, or no search came to an end.
    """
    if not histories.repeats.any():
        raise InputRefused(
            "no customer has bought on two days: the model cannot learn who comes back; give more history"
        )
    number = len(histories.customer_ids)

    def loss(logs: Floats) -> tuple[float, Floats]:
        values = np.exp(logs)
        value, gradient = _value_and_gradient(values, histories)
        return -value / number, -gradient * values / number

    ends: list[OptimizeResult] = [
        minimize(loss, np.log(start), jac=True, method="L-BFGS-B", bounds=np.log(LIMITS), options=PRECISION)
        for start in STARTS
    ]
    good = [end for end in ends if end.success and np.isfinite(end.fun)]
    if not good:
        raise InputRefused(
            f"no parameters were found ({ends[0].message}); look for odd purchases, or give more history"
        )
    best = min(good, key=lambda end: end.fun)
    parameters = Parameters(*np.exp(best.x).tolist())
    return parameters, log_likelihood(parameters, histories)


def _value_and_gradient(values: Floats, histories: Histories) -> tuple[float, Floats]:
    """Log-likelihood, and its derivatives by r, alpha, a and b."""
    r, alpha, a, b = values
    x, bought = histories.repeats, histories.repeats > 0
    until_end, until_last = alpha + histories.age, alpha + histories.recency
    gone = _log_odds_gone(values, histories)
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + betaln(a, b + x) - betaln(a, b)
    total = common - (r + x) * np.log(until_end) + np.logaddexp(0.0, gone)

    lost = expit(gone)  # probability of having left
    time = (1 - lost) * np.log(until_end) + lost * np.log(until_last)
    rate = (1 - lost) / until_end + lost / until_last
    shape = digamma(a + b) - digamma(a + b + x)
    gradient = np.array(
        [
            np.sum(digamma(r + x) - digamma(r) + np.log(alpha) - time),
            np.sum(r / alpha - (r + x) * rate),
            np.sum(shape + lost / a),
            np.sum(shape + digamma(b + x) - digamma(b) - lost / np.where(bought, b + x - 1, 1.0)),
        ]
    )
    return float(np.sum(total)), gradient


def _log_odds_gone(values: Floats, histories: Histories) -> Floats:
    """Logarithm of the odds of having left; minus infinity without repeats: only a repeat purchase can be the last."""
    r, alpha, a, b = values
    x, bought = histories.repeats, histories.repeats > 0
    share = np.log(a) - np.log(np.where(bought, b + x - 1, 1.0))
    silence = (r + x) * (np.log(alpha + histories.age) - np.log(alpha + histories.recency))
    return np.where(bought, share + silence, -np.inf)


def probability_alive(parameters: Parameters, histories: Histories) -> Floats:
    """Probability of still being a customer at the end of the observation: 1 for those who bought on one day only."""
    alive: Floats = expit(-_log_odds_gone(parameters.array(), histories))
    return alive


def expected_purchases(parameters: Parameters, histories: Histories, weeks: float) -> Floats:
    """Expected purchases of each customer in the time after the observation, given the history: FHL (10).

    Euler's transformation of the hypergeometric function replaces FHL's product of a vanishing power and a huge
    function value, which ends in "not a number" for customers with hundreds of purchases.

    Raises:
        InputRefused: the parameters are so extreme that an expectation cannot be computed.
    """
    r, alpha, a, b = parameters.array()
    if abs(a - 1) < NEAR_ONE:
        a = 1 + NEAR_ONE
    x = histories.repeats
    z = weeks / (alpha + histories.age + weeks)
    c = a + b + x - 1
    with np.errstate(over="ignore", invalid="ignore"):  # looked for below
        expected = c / (a - 1) * (1 - np.exp((a - 1) * np.log1p(-z)) * hyp2f1(a + b - r - 1, a - 1, c, z))
    if not np.isfinite(expected).all():
        customer = histories.customer_ids[int(np.argmin(np.isfinite(expected)))]
        raise InputRefused(
            f"no expectation can be computed for customer '{customer}' with {parameters}; train on more history"
        )
    result: Floats = np.maximum(expected, 0.0) * probability_alive(
        parameters, histories
    )  # no digits left: 0, not -1e-17
    return result
