"""The sequential test is right as often as it says, with the noise of a real, busy machine."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_monitoring._perf.sequential import SequentialTest, Verdict

# CPU and wall seconds of 275 runs of one program, one after another on a shared machine with two busy processors.
NOISE = json.loads((Path(__file__).parent / "noise.json").read_text("utf-8"))

ERROR = 0.05


def verdicts(noise, change, times, *, margin=0.1, pairs=50, seed=1):
    """Compare so often, with what the machine did at a random time, and a candidate that costs so much more."""
    chance = random.Random(seed)
    seen: Counter[Verdict] = Counter()
    for _ in range(times):
        at = chance.randrange(len(noise))
        test = SequentialTest(margin, ERROR)
        for _ in range(pairs):
            first, second = noise[at % len(noise)], noise[(at + 1) % len(noise)]
            at += 2
            baseline, candidate = (first, second) if chance.random() < 0.5 else (second, first)
            if test.add(baseline, candidate * (1 + change)) is not Verdict.INCONCLUSIVE:
                break
        seen[test.verdict] += 1
    return seen


def most_by_chance(probability, times):
    """How many there may be of what has this probability, four standard deviations above what is expected."""
    return times * probability + 4 * math.sqrt(times * probability * (1 - probability))


@pytest.mark.parametrize("clock", ["cpu", "wall"])
def test_a_program_that_has_not_changed_seldom_regresses(clock):
    """200 comparisons of a program with itself."""
    seen = verdicts(NOISE[clock], 0.0, 200)

    assert seen[Verdict.REGRESSED] + seen[Verdict.BETTER] <= most_by_chance(ERROR, 200)


def test_a_regression_is_seen():
    """20 % more CPU time, in 100 comparisons; none is called better or the same."""
    seen = verdicts(NOISE["cpu"], 0.2, 100)

    assert seen[Verdict.REGRESSED] >= 90
    assert seen[Verdict.BETTER] == 0
    assert seen[Verdict.SAME] <= most_by_chance(ERROR / 2, 100)


@pytest.mark.slow
@pytest.mark.parametrize("clock", ["cpu", "wall"])
def test_false_alarms_are_as_rare_as_promised(clock):
    """Of 1,000 comparisons of a program with itself at most 5 % end with any change, though each looks 50 times."""
    seen = verdicts(NOISE[clock], 0.0, 1000)

    assert seen[Verdict.REGRESSED] + seen[Verdict.BETTER] <= 50


@pytest.mark.slow
def test_a_regression_of_ten_percent_is_found():
    """More than 80 % of 1,000 are found within 50 pairs, and at most 2.5 % are called the same."""
    seen = verdicts(NOISE["cpu"], 0.1, 1000)

    assert seen[Verdict.REGRESSED] >= 800
    assert seen[Verdict.BETTER] == 0
    assert seen[Verdict.SAME] <= most_by_chance(ERROR / 2, 1000)


@pytest.mark.slow
def test_a_plain_test_at_each_look_raises_false_alarms():
    """Why this one: a 95 % interval, looked at after each pair, errs in more than 20 % of comparisons."""
    chance = random.Random(1)
    alarms = 0
    for _ in range(300):
        differences: list[float] = []
        for _ in range(50):
            differences.append(chance.gauss(0, 0.1))
            number = len(differences)
            mean = sum(differences) / number
            if number >= 5:
                deviation = math.sqrt(sum((each - mean) ** 2 for each in differences) / (number - 1))
                if abs(mean) > 2.1 * deviation / math.sqrt(number):
                    alarms += 1
                    break

    assert alarms > 60


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["bursts", "drift", "cauchy", "autocorrelated", "lognormal", "step", "second"])
def test_it_holds_whatever_the_noise_is(shape):
    """Bursts that last, a machine that gets slower, noise without a mean, second runs that are slower: 500 each."""
    chance = random.Random(7)
    autocorrelated = [0.0]
    while len(autocorrelated) < 4001:
        autocorrelated.append(0.9 * autocorrelated[-1] + 0.05 * chance.gauss(0, 1))
    shapes = {
        "bursts": [0.02 * chance.gauss(0, 1) + (0.7 if number // 40 % 5 == 0 else 0) for number in range(4001)],
        "drift": [0.002 * number + 0.05 * chance.gauss(0, 1) for number in range(4001)],
        "cauchy": [0.05 * math.tan(math.pi * (chance.random() - 0.5) * 0.999) for _ in range(4001)],
        "autocorrelated": autocorrelated,
        "lognormal": [0.3 * chance.gauss(0, 1) for _ in range(4001)],
        "step": [0.05 * chance.gauss(0, 1) + 0.3 * (number // 25 % 2) for number in range(4001)],
        "second": [0.03 * chance.gauss(0, 1) + 0.15 * (number % 2) for number in range(4001)],
    }
    seen = verdicts([math.exp(max(-30, min(30, each))) for each in shapes[shape]], 0.0, 500, pairs=40)

    assert seen[Verdict.REGRESSED] + seen[Verdict.BETTER] <= 25


def test_the_same_is_a_finding():
    """With little noise a few pairs show that no change is as large as the margin."""
    seen = verdicts([math.exp(random.Random(number).gauss(0, 0.02)) for number in range(501)], 0.0, 50)

    assert seen == {Verdict.SAME: 50}


@pytest.mark.parametrize(("error", "pairs"), [(0.05, 6), (0.05 / 4, 8), (0.01, 8)])
def test_one_look_decides_nothing(error, pairs):
    """However large the difference: as many pairs are needed as with a coin."""
    test = SequentialTest(0.1, error)

    assert [test.add(1.0, 100.0) for _ in range(pairs)] == [Verdict.INCONCLUSIVE] * (pairs - 1) + [Verdict.REGRESSED]


def test_without_pairs_nothing_is_known():
    """Neither an interval nor a verdict."""
    test = SequentialTest(0.1, 0.05)

    assert (test.interval, test.change, test.pairs, test.verdict) == ((None, None), 0.0, 0, Verdict.INCONCLUSIVE)


def test_a_decision_stands():
    """What comes later is not looked at."""
    test = SequentialTest(0.1, 0.05)
    while test.add(1.0, 2.0) is Verdict.INCONCLUSIVE:
        pass
    pairs = test.pairs

    assert test.add(2.0, 1.0) is Verdict.REGRESSED
    assert test.pairs == pairs


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6)), max_size=30))
def test_the_interval_fits_the_verdict(pairs):
    """Worse lies above zero, better below it, the same within the margins; exchanged sides find the opposite."""
    test, mirrored = SequentialTest(0.1, 0.05), SequentialTest(0.1, 0.05)
    for baseline, candidate in pairs:
        test.add(baseline, candidate)
        mirrored.add(candidate, baseline)
    low, high = test.interval
    tiny = 1e-6

    if test.verdict is Verdict.REGRESSED:
        assert low is not None
        assert low >= -tiny
    if test.verdict is Verdict.BETTER:
        assert high is not None
        assert high <= tiny
    if test.verdict is Verdict.SAME:
        assert low is not None
        assert high is not None
        assert 1 / 1.1 - 1 - tiny <= low <= high + tiny <= 0.1 + 2 * tiny
    opposite = {Verdict.REGRESSED: Verdict.BETTER, Verdict.BETTER: Verdict.REGRESSED}
    assert mirrored.verdict is opposite.get(test.verdict, test.verdict)
