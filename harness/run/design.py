"""The design of an experiment: who goes when.

In a round every contender has one turn. Neighbours disturb each other (caches, clocks,
memory bandwidth), so rounds follow Williams designs: Latin squares in which each
contender also comes directly before each other one equally often (E. J. Williams,
Aust. J. Sci. Res. A 2, 149, 1949). An even number C takes C rounds, an odd one 2C.
"""

import random
from typing import TypeVar

Item = TypeVar("Item")


def williams(count: int) -> list[list[int]]:
    """Rows of indices: C rows for even C, 2C for odd C; one row for C = 1."""
    if count == 1:
        return [[0]]
    zigzag = [0]
    for step in range(1, count):
        zigzag.append((zigzag[-1] + (step if step % 2 else -step)) % count)
    square = [[(place + shift) % count for place in zigzag] for shift in range(count)]
    return square if count % 2 == 0 else square + [row[::-1] for row in square]


def rounds(contenders: list[Item], wanted: int, rng: random.Random) -> list[list[Item]]:
    """As many whole squares as fit into `wanted` rounds, or else `wanted` rows of one.

    Never more: a launch's time is allowed for so many (budget.py).
    Names are dealt to the design's places anew on every call and the rows shuffled, so
    that no contender keeps a place over the launches.
    """
    dealt = rng.sample(contenders, len(contenders))
    square = [[dealt[i] for i in row] for row in williams(len(contenders))]
    squares = max(1, wanted // len(square))
    rows = [row for _ in range(squares) for row in rng.sample(square, len(square))]
    return rows[:wanted]
