"""The order in which faults are injected."""

import random
from itertools import islice

from chaos.faults import FAULTS, draw_faults


def test_every_fault_comes_once_a_round_in_the_order_of_the_seed():
    drawn = [list(draw_faults(list(FAULTS), random.Random(seed), rounds=2)) for seed in (1, 1, 2)]
    first, second = drawn[0][: len(FAULTS)], drawn[0][len(FAULTS) :]
    assert sorted(first) == sorted(second) == sorted(FAULTS)
    assert drawn[0] == drawn[1] != drawn[2]
    assert first != second


def test_without_a_number_of_rounds_the_faults_never_end():
    assert len(list(islice(draw_faults(list(FAULTS), random.Random(1)), 99))) == 99
