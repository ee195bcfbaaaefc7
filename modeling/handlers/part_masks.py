"""Where the parts of the body are in every training picture, found anew at the start of epochs (HCGA, ISP)."""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import ignite.distributed as idist
import numpy as np
import torch
import torch.distributed as dist
from ignite.engine import Engine, Events
from torch import Tensor, nn

from common.events import ReIDEvents
from common.fingerprints import digest_of
from common.progress import bar
from common.ranks import gather_rows, on_first
from modeling.layers.precision import repeatable
from modeling.parsing import build_parser
from modeling.parsing.mask_file import MISSING, MaskFile
from modeling.parsing.options import ParsingOptions
from modeling.parsing.parser import Parsed
from modeling.parsing.statistics import MaskStatistics

if TYPE_CHECKING:  # the methods import their handlers
    from modeling.methods.method import ParsingEmbedder, TrainingView

logger = logging.getLogger("reid")

MASKS = "part_masks"
"""Name in `Batch.extras`: `(B, h, w)` int64, what each cell of the augmented picture shows: 0 background, 1 … P."""

CHUNK = 32
"""Pictures that go through the network at once."""


class PartMasks:
    """Parses all training pictures, person by person, and gives every batch its masks, moved along with its pictures.

    A person's maps are made by the network as it is now, in evaluation, of the pictures without augmentation, and
    forgotten when the masks are there: no more than one person's are in memory. The people are dealt out to the
    processes; what each finds is gathered after every person, so that all hold the same masks, which do not depend on
    how many processes there are. Process 0 writes them to a file as they come, from which a refresh that was stopped
    goes on: it is of the same refresh when epoch, weights, options and pictures are the same. What is told of labels
    and iterations then is of those people that were parsed after the stop.

    Args:
        masks: `(N, h, w)` uint8, a buffer of the method, written in place.
        made_in: int64 scalar, likewise: the epoch that the masks were found in; 0: they are still those that it began
            with.
        options: by what, and in which epochs.
        seed: of the run.

    Example:
        >>> PartMasks(self.masks, self.masks_epoch, options, seed=1, view=view).attach(trainer)
    """

    def __init__(self, masks: Tensor, made_in: Tensor, options: ParsingOptions, seed: int, view: TrainingView) -> None:
        self.masks, self.made_in, self.options, self.seed, self.view = masks, made_in, options, seed, view
        self.statistics: MaskStatistics | None = None

    def attach(self, engine: Engine) -> None:
        if self.options.by != "stripes":
            engine.add_event_handler(Events.EPOCH_STARTED, self._refresh)
        engine.add_event_handler(Events.ITERATION_STARTED, self._give)
        engine.add_event_handler(ReIDEvents.LOSSES_COMPUTED, self._tell)

    def _refresh(self, engine: Engine) -> None:
        """Find the masks of this epoch, unless a run that goes on brought them along or a signal asks to end."""
        state: Any = engine.state
        if self.statistics is None and int(self.made_in):  # of a run that goes on
            self.statistics = MaskStatistics.of_masks(self.masks.cpu(), self.options.parts)
        if not self.options.due(state.epoch) or int(self.made_in) >= state.epoch:
            return
        started = time.perf_counter()
        statistics = self._parsed(state.epoch, may_stop=state.iteration > 0)
        if statistics is None:
            logger.info("epoch %d: %s left unfinished; it goes on from there", state.epoch, self.options.by)
            return
        self.statistics = statistics
        self.made_in.fill_(state.epoch)
        seconds = time.perf_counter() - started
        logger.info("epoch %d: %s in %.1f s: %s", state.epoch, self.options.by, seconds, statistics)

    def _parsed(self, epoch: int, *, may_stop: bool) -> MaskStatistics | None:
        """Write the masks of all pictures; None when it was stopped."""
        network = cast("ParsingEmbedder", self.view.network())
        file = MaskFile(self.view.folder / "parsing", (len(self.masks), *self.masks.shape[1:]), self.options.parts)
        masks = torch.full_like(self.masks, MISSING)

        def begin() -> None:
            masks.copy_(file.begun(self._facts(epoch, network)))

        on_first(begin)
        if idist.get_world_size() > 1:
            dist.broadcast(masks, src=0)
        people = self._people(masks)
        kept = torch.ones(len(masks), dtype=torch.bool, device=masks.device)
        kept[torch.cat(people) if people else []] = False
        statistics = MaskStatistics.of_masks(masks[kept].cpu(), self.options.parts)
        if statistics.pictures:
            logger.info("%d of %d masks are taken from %s", statistics.pictures, len(masks), file.folder)
        rank, world = idist.get_rank(), idist.get_world_size()
        parser, mine = build_parser(self.options), people[rank::world]
        seen = self._maps(network, mine)
        with (
            contextlib.closing(seen),
            bar(sum(map(len, people)), title=self.options.by, unit="picture", shown=rank == 0) as progress,
        ):
            for number in range(-(-len(people) // world)):
                if may_stop and self.view.stopping():
                    return None
                rows = masks.new_empty(0, dtype=torch.int64)
                found = Parsed(torch.empty(0, *masks.shape[1:], dtype=torch.uint8))
                if number < len(mine):
                    rows, found = mine[number], parser(next(seen), self._seed(epoch, mine[number]))
                rows, everybody = self._of_all(rows, found)
                new = torch.cat([person.masks for person in everybody])
                masks[rows] = new.to(masks.device)
                on_first(functools.partial(file.write, rows.cpu(), new))
                told = (MaskStatistics.of(person, self.options.parts) for person in everybody)
                statistics = sum(told, statistics)
                progress.update(len(rows))
        self.masks.copy_(masks)
        on_first(functools.partial(file.finish, statistics.numbers()))
        return statistics

    def _facts(self, epoch: int, network: nn.Module) -> dict[str, Any]:
        """By which a refresh is known again."""
        labels = digest_of({"labels": self.view.facts.labels})
        options = self.options.model_dump(mode="json")
        known = {"epoch": epoch, "seed": self.seed, "weights": digest_of(network.state_dict()), "labels": labels}
        return {**known, "pictures": self.view.content(), "options": options}

    def _people(self, masks: Tensor) -> list[Tensor]:
        """The rows of every person of whom a mask is missing, those with most pictures first."""
        labels = self.view.facts.labels
        people = [torch.nonzero(labels == label).squeeze(1) for label in labels[~_made(masks)].unique().tolist()]
        return sorted(people, key=len, reverse=True)

    @torch.no_grad()
    def _maps(self, network: ParsingEmbedder, people: Sequence[Tensor]) -> Generator[Tensor, None, None]:
        """The maps `(n, C, h, w)` of each person in turn; which pictures share a pass depends on the person alone."""
        network.eval()
        pictures = self.view.pictures([row for rows in people for row in rows.tolist()])
        images: list[Tensor] = []
        for rows in people:
            while sum(map(len, images)) < len(rows):
                images.append(next(pictures).images)
            together = torch.cat(images)
            images = [together[len(rows) :]]
            with repeatable():
                maps = torch.cat([network.maps(chunk) for chunk in together[: len(rows)].split(CHUNK)])
            yield maps

    def _seed(self, epoch: int, rows: Tensor) -> int:
        """Of one person in one epoch."""
        label = int(self.view.facts.labels[rows[0]])
        return int(np.random.SeedSequence((self.seed, epoch, label)).generate_state(1)[0])

    def _of_all(self, rows: Tensor, found: Parsed) -> tuple[Tensor, list[Parsed]]:
        """The rows of all processes, and what each found of its person."""
        device = self.masks.device
        told = torch.tensor([[found.labels, found.iterations, int(found.fallback), len(rows)]], device=device)
        each = [numbers for numbers in gather_rows(told).tolist() if numbers[-1]]
        masks = gather_rows(found.masks.to(device)).cpu().split([count for *_, count in each])
        people = [
            Parsed(of_one, labels, iterations, bool(fallback))
            for of_one, (labels, iterations, fallback, _) in zip(masks, each, strict=True)
        ]
        return gather_rows(rows), people

    def _give(self, engine: Engine) -> None:
        state: Any = engine.state
        batch = state.batch
        masks = self.view.moved(self.masks[batch.index], batch.geometry)
        state.batch = replace(batch, extras={**batch.extras, MASKS: masks})

    def _tell(self, engine: Engine) -> None:
        if self.statistics is not None:
            state: Any = engine.state
            told = {
                name: torch.tensor(value, dtype=torch.float32, device=self.masks.device)
                for name, value in self.statistics.numbers().items()
            }
            state.update = replace(state.update, metrics={**state.update.metrics, **told})


def _made(masks: Tensor) -> Tensor:
    """`(N,)` bool, the pictures that have a mask."""
    return (masks != MISSING).flatten(1).all(dim=1)
