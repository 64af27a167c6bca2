"""Which faults are drawn."""

import random
from itertools import islice

from chaos.nemesis import MENU, draw


def test_every_fault_comes_once_a_round_in_an_order_that_the_seed_decides():
    drawn = [list(draw(list(MENU), random.Random(seed), rounds=2)) for seed in (1, 1, 2)]
    first, second = drawn[0][: len(MENU)], drawn[0][len(MENU) :]
    assert sorted(first) == sorted(second) == sorted(MENU)
    assert drawn[0] == drawn[1] != drawn[2]
    assert first != second


def test_without_a_number_of_rounds_there_is_always_another():
    assert len(list(islice(draw(list(MENU), random.Random(1)), 99))) == 99
