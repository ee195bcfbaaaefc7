"""Human co-parsing (HCGA, Dou et al., TIP 2023): all pictures of one person, segmented together without a teacher.

A small decoder h, new for every person, maps the N pictures' features F to scores O = h(F) of unnamed labels. It
learns from nothing but the pictures: cells should be sure of their label t = argmax O, and agree with their neighbours
and with the same cell of the person's other pictures,

    L = CE(O, t) + w_pixel (|Δ_y O| + |Δ_x O|) + w_diagonal (|Δ_↘ O| + |Δ_↙ O|) + w_image |O_n' − O_n|,

each |·| a mean over all its elements. Labels merge as it learns, in the end into one, so it must stop early.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from modeling.layers.precision import repeatable, without_autocast
from modeling.parsing.k_means import k_means_parts
from modeling.parsing.label_parts import label_parts
from modeling.parsing.options import Norm, Pairs, ParsingOptions
from modeling.parsing.parser import Parsed, finite
from modeling.parsing.stripes import stripes


def decoder(channels: int, labels: int, random: torch.Generator) -> nn.Sequential:
    """h, on the CPU: maps `(N, channels, h, w)` to `(N, labels, h, w)`, normalised by the statistics of each batch.

    Weights have the distributions that PyTorch gives new layers, drawn from `random` instead of the global stream.
    """
    with torch.device("meta"):  # nothing is drawn there
        network = nn.Sequential(
            *_block(channels, 64, 3), nn.ReLU(inplace=True),
            *_block(64, 32, 1), nn.ReLU(inplace=True),
            *_block(32, 64, 3), nn.ReLU(inplace=True),
            *_block(64, labels, 1),
        )  # fmt: skip
    network.to_empty(device="cpu")
    for layer in network:
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()
        elif isinstance(layer, nn.Conv2d):
            assert layer.bias is not None
            bound = 1 / math.sqrt(layer.weight[0].numel())
            nn.init.uniform_(layer.weight, -bound, bound, generator=random)
            nn.init.uniform_(layer.bias, -bound, bound, generator=random)
    return network


def _block(channels: int, outputs: int, size: int) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    normalised = nn.BatchNorm2d(outputs, track_running_stats=False)
    return nn.Conv2d(channels, outputs, size, padding=size // 2), normalised


def successors(pictures: int, pairs: Pairs, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two lists of pictures n and n' that are compared; both are empty when there is only one picture.

    "listed" compares each with the next one. "random" draws a circle through all of them and compares each with the
    one that follows there, so that no order of the files decides who is compared.
    """
    if pictures == 1 or pairs == "listed":
        order = torch.arange(pictures)
        return order[:-1], order[1:]
    order = torch.randperm(pictures, generator=random)
    return order, order.roll(-1)


def objective(scores: Tensor, compared: tuple[Tensor, Tensor], options: ParsingOptions) -> Tensor:
    """L of scores O `(N, K, h, w)`; t takes no gradient, and a term with nothing to compare is 0.

    Args:
        compared: lists of the pictures n and n' of the last term.
    """
    first, second = compared
    # −log softmax at the highest score, written without the target's indices: on GPUs the built-in loss of maps adds
    # in no fixed order.
    total = (scores.logsumexp(1) - scores.max(1).values).mean()
    if options.pixel:
        below = _difference(scores[:, :, 1:], scores[:, :, :-1], options.norm)
        beside = _difference(scores[:, :, :, 1:], scores[:, :, :, :-1], options.norm)
        total = total + options.pixel * (below + beside)
    if options.diagonal:
        falling = _difference(scores[:, :, 1:, 1:], scores[:, :, :-1, :-1], options.norm)
        rising = _difference(scores[:, :, 1:, :-1], scores[:, :, :-1, 1:], options.norm)
        total = total + options.diagonal * (falling + rising)
    if options.image:
        total = total + options.image * _difference(scores[second], scores[first], options.norm)
    return total


def _difference(one: Tensor, other: Tensor, norm: Norm) -> Tensor:
    if one.numel() == 0:
        return one.sum()
    difference = one - other
    return (difference.abs() if norm == "l1" else difference.square()).mean()


def co_parse(maps: Tensor, options: ParsingOptions, seed: int) -> tuple[Tensor, int]:
    """Labels `(N, h, w)` int64, on the CPU, of the last forward, and the number of forwards.

    It stops at the first forward with no more than `options.stop_at` labels. The update that would follow is left out:
    nothing looks at it.

    Args:
        maps: `(N, C, h, w)` float32. Callers may have gradients off. Tensors of inference mode cannot be learned from,
            so they are copied.
    """
    random = torch.Generator().manual_seed(seed)
    with torch.inference_mode(False), torch.enable_grad(), without_autocast(maps), repeatable():
        maps = maps.clone() if maps.is_inference() else maps.detach()
        network = decoder(maps.shape[1], options.labels, random).to(maps.device)
        optimizer = torch.optim.SGD(network.parameters(), lr=options.lr, momentum=options.momentum)
        for iteration in range(1, options.iterations + 1):
            scores = network(maps)
            labels = scores.detach().argmax(1)
            if iteration == options.iterations or len(labels.unique()) <= options.stop_at:
                break
            first, second = successors(len(maps), options.pairs, random)
            loss = objective(scores, (first.to(maps.device), second.to(maps.device)), options)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return labels.cpu(), iteration


class CoParser:
    """Co-parsing; where its labels tell no parts apart k-means stands in, and where that fails too, stripes."""

    def __init__(self, options: ParsingOptions) -> None:
        self.options = options

    def __call__(self, maps: Tensor, seed: int) -> Parsed:
        options, maps = self.options, finite(maps)
        labels, iterations, masks = 0, 0, None
        # Cells that are all alike would be told apart by nothing but the zeros that convolutions put around a map.
        if bool((maps != maps[:1, :, :1, :1]).any()):
            volume, iterations = co_parse(maps, options, seed)
            labels = len(volume.unique())
            masks = label_parts(volume, options.parts, options.rule)
        fallback = masks is None
        if masks is None:
            masks = k_means_parts(maps, options, seed)
        if masks is None:
            pictures, _, height, width = maps.shape
            masks = stripes(options.parts, height, width, options.rule).repeat(pictures, 1, 1)
        return Parsed(masks, labels, iterations, fallback)
