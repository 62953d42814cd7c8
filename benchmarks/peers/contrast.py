"""Pixel contrast as its users run it, rewritten from its description.

The method is that of Wang et al., "Exploring Cross-Image Pixel Contrast for
Semantic Segmentation", ICCV 2021, https://arxiv.org/abs/2101.11939. Like the
authors' released code, this code has loops over images and classes, a gather
for each of them, and matrices of all pairs. The known faults of its bank are
not reproduced, so that both sides can be equal.

Shapes: B images, C classes, T pairs of an image and a class with anchors, n
anchors of a pair, K keys, M slots of a queue, D embedding dims.
"""
from typing import List, Tuple

import torch
from torch import Tensor
from torch.nn.functional import normalize


def choose_pixels(labels: Tensor, predictions: Tensor, max_samples: int,
                  max_views: int) -> Tuple[List[Tensor], List[int]]:
    """Draw n pixels of every image and class, half of them misclassified.

    Args:
        labels: Labels (B, N), int64; -1 is ignored.
        predictions: Predicted labels (B, N), int64.
        max_samples: Largest number of anchors of the batch.
        max_views: Largest number of anchors of an image and class. A class
            with fewer pixels in an image takes no part.

    Returns:
        For each pair of an image and a class, the indices (n,) of its pixels
        in the image, and the index of the image times C plus the class.
    """
    present = []
    for image, row in enumerate(labels):
        for label in torch.unique(row):
            if label == -1:
                continue
            if (row == label).nonzero().shape[0] > max_views:
                present.append((image, label))
    if not present:
        return [], []
    views = min(max_samples // len(present), max_views)
    chosen = []
    for image, label in present:
        of_class = labels[image] == label
        wrong = (of_class & (predictions[image] != label)).nonzero()
        right = (of_class & (predictions[image] == label)).nonzero()
        if len(wrong) >= views / 2 and len(right) >= views / 2:
            num_wrong = views // 2
        elif len(wrong) >= views / 2:
            num_wrong = views - len(right)
        else:
            num_wrong = len(wrong)
        device = labels.device
        picks = [part[torch.randperm(len(part)).to(device)[:count]]
                 for part, count in ((wrong, num_wrong),
                                     (right, views - num_wrong))]
        chosen.append(torch.cat(picks).squeeze(1))
    return chosen, present


def gather(maps: Tensor, chosen: List[Tensor],
           present: List[Tuple[int, Tensor]]) -> Tuple[Tensor, Tensor]:
    """Return anchors (T, n, D), with a gather for each pair, and labels (T,).
    """
    rows = maps.permute(0, 2, 3, 1).contiguous().flatten(1, 2)
    anchors = torch.stack([rows[image, pixels] for (image, _), pixels in zip(
        present, chosen)])
    return anchors, torch.stack([label for _, label in present])


def pair_loss(anchors: Tensor, labels: Tensor, keys: Tensor,
              key_labels: Tensor, *, temperature: float,
              base_temperature: float, own: bool) -> Tensor:
    """Compare each positive with all negatives, by matrices of all pairs.

    Args:
        anchors: Anchors (A, D).
        labels: Labels (A,) of the anchors.
        keys: Keys (K, D).
        key_labels: Labels (K,) of the keys.
        temperature: Number that divides the similarities.
        base_temperature: Number that divides the loss, which is also
            multiplied by `temperature`.
        own: Whether key i is anchor i, and therefore not its positive.
    """
    positive = (labels[:, None] == key_labels[None]).float()
    logits = torch.matmul(anchors, keys.T) / temperature
    logits = logits - logits.max(dim=1, keepdim=True)[0].detach()
    negative = 1 - positive
    if own:
        keep = torch.ones_like(positive).scatter_(
            1, torch.arange(len(anchors), device=anchors.device)[:, None], 0)
        positive = positive * keep
    below = (torch.exp(logits) * negative).sum(1, keepdim=True)
    log_share = logits - torch.log(torch.exp(logits) + below)
    mean = (positive * log_share).sum(1) / positive.sum(1)
    return (-(temperature / base_temperature) * mean).mean()


def batch_loss(anchors: Tensor, labels: Tensor, *, temperature: float,
               base_temperature: float) -> Tensor:
    """Contrast anchors (T, n, D) with labels (T,) with one another."""
    views = anchors.shape[1]
    rows = torch.cat(torch.unbind(anchors, dim=1))
    labels = labels.repeat(views)
    return pair_loss(rows, labels, rows, labels, temperature=temperature,
                     base_temperature=base_temperature, own=True)


def joined_bank(pixels: Tensor, regions: Tensor) -> Tuple[Tensor, Tensor]:
    """Copy two queues (C, M, D) into keys (2 C M, D) with labels.

    As in every step of the authors' code, the queues are joined and then
    copied class by class.
    """
    queue = torch.cat((regions, pixels), dim=1)
    num_classes, num_slots, dims = queue.shape
    keys = torch.zeros(num_classes * num_slots, dims, device=queue.device)
    labels = torch.zeros(num_classes * num_slots, device=queue.device)
    for label in range(num_classes):
        place = slice(label * num_slots, (label + 1) * num_slots)
        keys[place] = queue[label]
        labels[place] = label
    return keys, labels.long()


class Queues:
    """A pixel queue and a region queue of every class, filled by loops.

    Args:
        num_classes: Number of classes C.
        capacity: Capacity M of each queue.
        dims: Number of embedding dimensions D.
        num_pixels: Number of pixels of each class and image that are stored.
        device: Device of the queues.
    """

    def __init__(self, num_classes: int, capacity: int, dims: int,
                 num_pixels: int, device: torch.device) -> None:
        self.pixels = torch.zeros(num_classes, capacity, dims, device=device)
        self.regions = torch.zeros_like(self.pixels)
        places = torch.zeros(num_classes, dtype=torch.long, device=device)
        self.pixel_place, self.region_place = places, places.clone()
        self.num_pixels = num_pixels

    def enqueue(self, maps: Tensor, labels: Tensor) -> None:
        """Append the pixels and regions of a batch for every class.

        Args:
            maps: Embeddings (B, D, h, w), unit vectors.
            labels: Labels (B, h, w), int64; -1 is ignored.
        """
        dims, capacity = maps.shape[1], self.pixels.shape[1]
        for image in range(len(maps)):
            feature = maps[image].contiguous().view(dims, -1)
            flat = labels[image].contiguous().view(-1)
            for label in torch.unique(flat):
                if label < 0:
                    continue
                index = (flat == label).nonzero()
                place = int(self.region_place[label])
                self.regions[label, place] = normalize(
                    feature[:, index].mean(1).squeeze(), p=2, dim=0)
                self.region_place[label] = (place + 1) % capacity
                order = torch.randperm(len(index))[:self.num_pixels]
                picks = index[order.to(index.device)].squeeze(1)
                rows = normalize(feature[:, picks].T, p=2, dim=1)
                place, count = int(self.pixel_place[label]), len(rows)
                if place + count <= capacity:
                    self.pixels[label, place:place + count] = rows
                else:
                    slots = torch.arange(place, place + count) % capacity
                    self.pixels[label, slots.to(rows.device)] = rows
                self.pixel_place[label] = (place + count) % capacity
