"""Which rows make up each batch of an epoch: the same list on every process, of which each takes its part.

The list depends on (seed, epoch) only, so a run that is resumed, or spread over other processes, sees the same
pictures with the same augmentation. `DistributedSampler` and its kin stride rows over the processes, which tears
identity batches apart; here a process takes a contiguous part of every batch, or of each of its halves.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from common.contracts import SOURCE, TARGET
from common.errors import UserError
from configs.schema import Batches
from data.samples import Ints


class Key(NamedTuple):
    """One picture to load: its row, and what its random generator is seeded with."""

    row: int
    epoch: int
    position: int  # in the epoch, over all processes


class EpochBatches(ABC):
    """A batch sampler with a constant number of batches.

    Args:
        size: global batch size, divided over the processes.
        seed: of the run.
        rank, world: this process and how many there are.
    """

    def __init__(self, size: int, seed: int, rank: int = 0, world: int = 1) -> None:
        if size % world:
            raise UserError(
                f"batches.size={size} cannot be divided over {world} processes; choose a multiple of {world}"
            )
        self.size, self.seed, self.rank, self.world = size, seed, rank, world
        self.epoch, self._start = 1, 0

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Choose the epoch (from 1) and the batch to begin with (more than 0 only when resuming inside an epoch)."""
        self.epoch, self._start = epoch, start

    def __iter__(self) -> Iterator[list[Key]]:
        rows = self.rows(np.random.default_rng((self.seed, self.epoch)))
        places = self.places()
        for number in range(self._start, len(self)):
            positions = (number * self.size + places).tolist()
            part = rows[number, places].tolist()
            yield [Key(row, self.epoch, position) for row, position in zip(part, positions, strict=True)]

    def places(self) -> Ints:
        """The columns of `rows` that this process takes, `(size / world,)`."""
        share = self.size // self.world
        return np.arange(self.rank * share, (self.rank + 1) * share)

    @abstractmethod
    def __len__(self) -> int:
        """Batches in an epoch."""

    @abstractmethod
    def rows(self, random: np.random.Generator) -> Ints:
        """The epoch's rows, `(len(self), size)`."""


class RandomBatches(EpochBatches):
    """Every row once in random order; the last batch is filled up with rows drawn again."""

    def __init__(self, rows: Ints, size: int, seed: int, rank: int = 0, world: int = 1) -> None:
        super().__init__(size, seed, rank, world)
        self._rows = rows

    def __len__(self) -> int:
        return -(-len(self._rows) // self.size)

    def rows(self, random: np.random.Generator) -> Ints:
        order = random.permutation(self._rows)
        missing = len(self) * self.size - len(order)
        return np.concatenate([order, random.choice(self._rows, missing)]).reshape(len(self), self.size)


class IdentityBatches(EpochBatches):
    """P identities with K pictures each in every batch (Hermans et al. 2017), all pictures in every epoch.

    The pictures of an identity are shuffled and cut into groups of K, the last one filled up with pictures of the
    same identity. A batch takes P groups of P different identities. The number of batches is the smallest in which
    all groups fit; where identities run out before, they come again.
    """

    def __init__(self, labels: Ints, size: int, instances: int, seed: int, rank: int = 0, world: int = 1) -> None:
        super().__init__(size, seed, rank, world)
        self.persons = size // instances
        self.instances = instances
        known = np.flatnonzero(labels >= 0)
        order = known[np.argsort(labels[known], kind="stable")]
        _, starts = np.unique(labels[order], return_index=True)
        self._members = np.split(order, starts[1:])
        if len(order) == 0 or len(self._members) < self.persons:
            there = len(self._members) if len(order) else 0
            raise UserError(
                f"batches.size={size} with batches.instances={instances} needs {self.persons} identities in a batch,"
                f" the training set has {there}; choose batches.size={there * instances} or less"
            )
        if self.persons % world:
            raise UserError(
                f"{self.persons} identities in a batch (batches.size / batches.instances) cannot be divided over"
                f" {world} processes; choose batches.size as a multiple of {world * instances}"
            )
        self._groups = np.array([-(-len(member) // instances) for member in self._members])

    def __len__(self) -> int:
        return int(max(-(-self._groups.sum() // self.persons), self._groups.max()))

    def rows(self, random: np.random.Generator) -> Ints:
        groups = [deque(self._cut(member, random)) for member in self._members]
        batches = [
            [groups[who].popleft() if groups[who] else self._again(who, random) for who in persons]
            for persons in self._persons(random)
        ]
        return np.array(batches, dtype=np.int64).reshape(len(self), self.size)

    def _cut(self, member: Ints, random: np.random.Generator) -> list[Ints]:
        # Going round fills the last group up with pictures of the first, so none stands twice in a group while there
        # are K others, and none comes a third time before all have come twice.
        groups = -(-len(member) // self.instances)
        return list(np.resize(random.permutation(member), (groups, self.instances)))

    def _again(self, who: int, random: np.random.Generator) -> Ints:
        return self._cut(self._members[who], random)[0]

    def _persons(self, random: np.random.Generator) -> Iterator[list[int]]:
        """The P identities of each batch, so that every identity comes at least as often as it has groups.

        Groups are laid out evenly over the epoch with some noise; an identity that must come in all remaining
        batches to get through goes first.
        """
        groups = self._groups
        owner = np.repeat(np.arange(len(groups)), groups)
        turn = np.concatenate([np.arange(count) for count in groups])
        queue = deque(owner[np.argsort((turn + random.random(len(turn))) / groups[owner])].tolist())
        left = groups.copy()
        for batches_left in range(len(self), 0, -1):
            chosen = np.flatnonzero(left == batches_left).tolist()
            later: list[int] = []
            while queue and len(chosen) < self.persons:
                who = queue.popleft()
                (later if who in chosen else chosen).append(who)
            queue.extendleft(reversed(later))
            left[chosen] -= 1
            if len(chosen) < self.persons:
                others = np.setdiff1d(np.arange(len(groups)), chosen)
                chosen += random.choice(others, self.persons - len(chosen), replace=False).tolist()
            yield random.permutation(chosen).tolist()


class DomainBatches(EpochBatches):
    """Half source, half target: picture k of the source half stands beside picture k of the target half.

    Every row of both domains comes in every epoch, whose length is that of the longer one; the shorter one comes again
    in fresh orders, each of its rows as often as any other or once more. No row stands twice in a batch while there
    are others. A process takes the same part of both halves, so a pair stays together whatever their number.

    Args:
        source, target: rows of the training set.
        size: global, of both halves together.
    """

    def __init__(self, source: Ints, target: Ints, size: int, seed: int, rank: int = 0, world: int = 1) -> None:
        if size % (2 * world):
            where = "" if world == 1 else f" in each of {world} processes"
            raise UserError(
                f"batches.size={size} cannot be half source and half target{where}; choose a multiple of {2 * world}"
            )
        super().__init__(size, seed, rank, world)
        for title, rows in (("source", source), ("target", target)):
            if not len(rows):
                raise UserError(f"batches.kind=domains needs training pictures of the {title}, and there are none")
        self._source, self._target = source, target
        self.half = size // 2

    def __len__(self) -> int:
        return -(-max(len(self._source), len(self._target)) // self.half)

    def rows(self, random: np.random.Generator) -> Ints:
        halves = [_dealt(rows, len(self), self.half, random) for rows in (self._source, self._target)]
        return np.concatenate(halves, axis=1)

    def places(self) -> Ints:
        share = self.half // self.world
        pairs = np.arange(self.rank * share, (self.rank + 1) * share)
        return np.concatenate([pairs, self.half + pairs])


def _dealt(rows: Ints, batches: int, size: int, random: np.random.Generator) -> Ints:
    """`rows` in one random order after another, `(batches, size)`.

    How often two rows come, in a batch or in all together, differs by one at most.
    """
    whole, rest = divmod(size, len(rows))
    parts = [random.permuted(np.tile(rows, (batches, 1)), axis=1) for _ in range(whole)]
    dealt: list[Ints] = []
    missing = batches * rest
    while missing > 0:
        order = random.permutation(rows)
        # The order before ended inside a batch: what this one already holds comes after what fills it up.
        begun = missing % rest
        if begun:
            fresh = np.flatnonzero(~np.isin(order, dealt[-1][begun - rest :]))[:begun]
            order = np.concatenate([order[fresh], np.delete(order, fresh)])
        dealt.append(order[:missing])
        missing -= len(dealt[-1])
    tail = np.concatenate([np.empty(0, dtype=np.int64), *dealt]).reshape(batches, rest)
    return np.concatenate([*parts, tail], axis=1)


def build_batches(config: Batches, labels: Ints, domain: Ints, seed: int, rank: int, world: int) -> EpochBatches:
    """The sampler that a configuration asks for.

    Args:
        labels, domain: columns of the training set; −1 and `SOURCE` or `TARGET` as there.
    """
    if config.size // world < 2:
        raise UserError(f"batches.size={config.size} leaves each process one picture; BatchNorm needs two, give more")
    if config.kind == "identity":
        return IdentityBatches(labels, config.size, config.instances, seed, rank, world)
    if config.kind == "random":
        return RandomBatches(np.arange(len(labels)), config.size, seed, rank, world)
    if config.size == 2 * world:
        raise UserError(
            f"batches.size={config.size} leaves each process one picture of a domain; BatchNorm needs two, give"
            f" {4 * world} or more"
        )
    source = np.flatnonzero((domain == SOURCE) & (labels >= 0))
    return DomainBatches(source, np.flatnonzero(domain == TARGET), config.size, seed, rank, world)
