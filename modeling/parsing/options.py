"""The keys under `options.parsing:`: how body parts are found in the pictures of one person, and when."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from configs.schema import Section

Rule = Literal["structure", "mean"]
"""How labels become parts: by cuts of the body at fixed heights (three parts), or in groups of nearly equal size."""
Norm = Literal["l1", "l2"]
Pairs = Literal["random", "listed"]


class ParsingOptions(Section):
    """Parts are numbered from head to foot, 1 to P = `parts`; 0 is the background."""

    by: Literal["co-parsing", "k-means", "stripes"] = "co-parsing"
    parts: int = Field(3, ge=1, le=8)
    rule: Rule = "structure"  # structure: head, torso, legs | mean: any number of parts

    # Co-parsing: one decoder for all pictures of a person
    labels: int = Field(32, ge=2, le=256)  # channels of its output
    stop_at: int = Field(18, ge=2)  # it stops when no more labels than these are left; later all would become one
    iterations: int = Field(32, ge=1)  # and here at the latest
    lr: float = Field(0.1, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    pixel: float = Field(2.0, ge=0)  # weight of differences to the cells below and to the right
    diagonal: float = Field(1.0, ge=0)  # to the cells on both diagonals
    image: float = Field(1.0, ge=0)  # to the same cell of another picture
    norm: Norm = "l1"  # differences are absolute (l1) or squared (l2)
    pairs: Pairs = "random"  # that other picture: a new one every iteration | listed: the next one, as published

    # k-means, which also stands in where co-parsing finds too few labels
    enhanced: bool = False  # more of the cells with middling activation are foreground
    clustering_iterations: int = Field(20, ge=1)

    # Epochs at whose start masks are made anew; stripes before the first, the last masks after the last
    first: int = Field(2, ge=1)
    every: int = Field(1, ge=1)
    until: int = Field(101, ge=1)

    @model_validator(mode="after")
    def _together(self) -> ParsingOptions:
        if self.rule == "structure" and self.parts != 3:
            raise ValueError(
                f"rule=structure knows head, torso and legs, which is parts=3, not {self.parts}; set rule=mean for"
                " another number of parts"
            )
        if self.stop_at >= self.labels:
            raise ValueError(
                f"stop_at={self.stop_at} is reached before anything is learned, since there are labels={self.labels};"
                " set stop_at below labels"
            )
        if self.stop_at <= self.parts:
            raise ValueError(
                f"stop_at={self.stop_at} leaves fewer labels than the background and parts={self.parts} need; set"
                f" stop_at to {self.parts + 1} or more"
            )
        if self.until < self.first:
            raise ValueError(f"until={self.until} is before first={self.first}; set until to {self.first} or later")
        return self

    def due(self, epoch: int) -> bool:
        """Whether masks are made anew at the start of `epoch` (from 1)."""
        return self.first <= epoch <= self.until and (epoch - self.first) % self.every == 0
