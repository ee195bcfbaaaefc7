"""Protocols of particular datasets, under the names that their papers' readers look for."""

from __future__ import annotations

from dataclasses import replace

from retrieval.protocols.general import CLOTH_CHANGING, MARKET, NO_CAMERA, SAME_CLOTHES, STANDARD
from retrieval.protocols.protocol import Protocol
from retrieval.protocols.rules import SOMEBODY, of_cameras

CUHK03_NP = MARKET.called(
    "cuhk03-np",
    "CUHK03 by its new protocol: 767 people to train on, 700 to be found, judged as Market-1501 is (the older protocol "
    "of 20 random splits is another one)",
    datasets=("cuhk", "cuhk-labeled"),
)

_A, _B, _C = {0: "A"}, {1: "B"}, {2: "C"}

PRCC_CC = Protocol(
    "prcc-cc",
    "PRCC, changed clothes, multi-shot: the queries of camera C in all of camera A. CAL's and AIM's numbers "
    "are these; other papers print prcc-single-cc, and the two must not be compared",
    good=MARKET.good,
    shown=SOMEBODY & of_cameras(_A),
    asked=of_cameras(_C),
    datasets=("prcc",),
    instead=CLOTH_CHANGING,
)
PRCC_SC = replace(
    PRCC_CC,
    name="prcc-sc",
    explanation="PRCC, same clothes, multi-shot: the queries of camera B in all of camera A",
    asked=of_cameras(_B),
    instead=SAME_CLOTHES,
)
PRCC_SINGLE_CC = PRCC_CC.drawn(
    "prcc-single-cc",
    "PRCC, changed clothes, single-shot: the queries of camera C in one random picture of each person from camera A, "
    "mean of ten draws. The draws of published codes depend on the order in which a disk lists its files; these do not",
    count=10,
    seed=3,
)
PRCC_SINGLE_SC = PRCC_SC.drawn(
    "prcc-single-sc",
    "PRCC, same clothes, single-shot: the queries of camera B in the same ten galleries",
    count=10,
    seed=3,
)

LAST = NO_CAMERA.called(
    "last",
    "LaST: every picture of the person counts, since no camera is told (published codes give every picture a camera of "
    "its own, to the same effect)",
    datasets=("last",),
)
DEEPCHANGE = MARKET.called(
    "deepchange",
    "DeepChange: as market with the tracklet in the place of the camera, so that the same person in the same camera "
    "counts when it is another tracklet; the reader puts tracklets in the column camid",
    datasets=("deepchange",),
)

VCCLOTHES = STANDARD.called("vcclothes", "VC-Clothes, all four cameras, whatever the clothes", datasets=("vcclothes",))
VCCLOTHES_SC = Protocol(
    "vcclothes-sc",
    "VC-Clothes, same clothes: queries and gallery of cameras 2 and 3 alone, between which nobody changes",
    good=VCCLOTHES.good,
    shown=SOMEBODY & of_cameras({1: "Cam2", 2: "Cam3"}),
    asked=of_cameras({1: "Cam2", 2: "Cam3"}),
    datasets=("vcclothes",),
    instead=SAME_CLOTHES,
)
VCCLOTHES_CC = replace(
    VCCLOTHES_SC,
    name="vcclothes-cc",
    explanation="VC-Clothes, changed clothes: queries and gallery of cameras 3 and 4 alone, between which everybody "
    "changes",
    shown=SOMEBODY & of_cameras({2: "Cam3", 3: "Cam4"}),
    asked=of_cameras({2: "Cam3", 3: "Cam4"}),
    instead=CLOTH_CHANGING,
)

OCCLUDED_DUKE = MARKET.called(
    "occluded-duke",
    "Occluded-Duke: judged as Market-1501 is; every query is occluded",
    datasets=("occluded-duke", "occluded-duke-lists"),
)
P_DUKE = NO_CAMERA.called(
    "p-duke",
    "P-DukeMTMC: occluded queries, whole gallery pictures, and none is junk (published codes give the two sides a "
    "camera each, to the same effect)",
    datasets=("p-duke",),
)
OCCLUDED_REID = NO_CAMERA.called(
    "occluded-reid",
    "Occluded-REID: occluded queries and whole gallery pictures of all 200 people, trained elsewhere, and none is "
    "junk, since no camera is told. HCGA's code wants a part of them to train on; its numbers are not of this protocol",
    datasets=("occluded-reid",),
)
OCCLUDED_REID_HALF = NO_CAMERA.called(
    "occluded-reid-half",
    "Occluded-REID divided: half of the people are trained on and the other half asked about, every picture of the "
    "person counts, since no camera is told. It is easier than occluded-reid, and the two must not be compared",
    datasets=("occluded-reid-half",),
)
CELEB = NO_CAMERA.called(
    "celeb",
    "Celeb-reID: every picture of the person counts, since no camera is told. No clothes are told either; most "
    "pictures of a person differ in them",
    datasets=("celeb", "celeb-light"),
)

PUBLISHED: tuple[Protocol, ...] = (
    CUHK03_NP,
    PRCC_CC,
    PRCC_SC,
    PRCC_SINGLE_CC,
    PRCC_SINGLE_SC,
    LAST,
    DEEPCHANGE,
    VCCLOTHES,
    VCCLOTHES_SC,
    VCCLOTHES_CC,
    OCCLUDED_DUKE,
    P_DUKE,
    OCCLUDED_REID,
    OCCLUDED_REID_HALF,
    CELEB,
)
