"""Slow, independent references: plain loops, float64, one pair at a time.

Closed-form inputs and recorded numbers of the published code are named F1,
F2, ... as in the tests that use them.
"""
import math
from typing import List, Tuple

import torch
from torch import Tensor
from torch.nn.functional import normalize


def sine_embeddings(*shape: int, phase: float, dim: int = -1) -> Tensor:
    """Unit vectors from sin(0.37 k + phase), the input of the fixtures."""
    index = torch.arange(math.prod(shape), dtype=torch.float64)
    return normalize(torch.sin(0.37 * index + phase).view(shape), dim=dim)


def sine_rows(length: int, dims: int, a: float = .37,
              b: float = 1.13) -> Tensor:
    """sin(a i j + b j), i and j from 1, the input of segment sorting's."""
    i = torch.arange(1, length + 1, dtype=torch.float64)[:, None]
    j = torch.arange(1, dims + 1, dtype=torch.float64)
    return torch.sin(a * i * j + b * j).float()


def pixel_contrast_loop(anchors: Tensor,
                        anchor_labels: List[int],
                        keys: Tensor,
                        key_labels: List[int],
                        *,
                        temperature: float,
                        base_temperature: float = None,
                        own_key: List[int] = None,
                        denominator: str = 'per_positive') -> Tuple:
    """Loss and validity of every anchor, by the definition."""
    scale = temperature / (base_temperature or temperature)
    losses, valid = [], []
    for i, (anchor, label) in enumerate(zip(anchors, anchor_labels)):
        own = own_key[i] if own_key is not None else -1
        others = [k for k, lab in enumerate(key_labels)
                  if lab >= 0 and k != own]
        exps = {k: math.exp(float(anchor @ keys[k]) / temperature)
                for k in others}
        positives = [k for k in others if key_labels[k] == label]
        negatives = sum(exps[k] for k in others if key_labels[k] != label)
        terms = []
        for k in positives:
            below = exps[k] + negatives
            if denominator == 'supcon':
                below = sum(exps.values())
            terms.append(-math.log(exps[k] / below))
        valid.append(label >= 0 and bool(positives))
        losses.append(scale * sum(terms) / len(terms) if valid[-1] else 0.)
    return (torch.tensor(losses, dtype=torch.float64), torch.tensor(valid))


def anchor_sampling_loop(labels: Tensor, predictions: Tensor, *,
                         max_samples: int, max_views: int) -> Tuple:
    """Anchors (pixel index, label) of the released code, first picks.

    The released code draws by `randperm`; here the first pixels are taken.
    """
    pairs = []
    for b, image in enumerate(labels.flatten(1).tolist()):
        for c in sorted(set(image) - {-1}):
            if image.count(c) > max_views:
                pairs.append((b, c))
    if not pairs:
        return [], []
    views = min(max_samples // len(pairs), max_views)
    size = labels[0].numel()
    pixels, classes = [], []
    for b, c in pairs:
        truth, guess = labels[b].flatten(), predictions[b].flatten()
        hard = [i for i in range(size) if truth[i] == c and guess[i] != c]
        easy = [i for i in range(size) if truth[i] == c and guess[i] == c]
        if len(hard) >= views / 2 and len(easy) >= views / 2:
            num_hard = views // 2
        elif len(hard) >= views / 2:
            num_hard = views - len(easy)
        else:
            num_hard = len(hard)
        picks = hard[:num_hard] + easy[:views - num_hard]
        pixels += [b * size + i for i in picks]
        classes += [c] * views
    return pixels, classes


def broken_bank_loss(anchors: Tensor, labels: Tensor, queue: Tensor, *,
                     temperature: float, base_temperature: float) -> float:
    """The released memory loss with its faults (F3, faithful).

    Class 0 is left out of the keys, whose place is filled by as many zero
    vectors that count as class 0, and key i is dropped from the positives of
    row i as if it were the anchor itself.

    Args:
        anchors: (T, n, D), flattened view by view.
        labels: (T,).
        queue: (C, M, D).
    """
    rows = anchors.transpose(0, 1).flatten(0, 1)
    row_labels = labels.repeat(anchors.shape[1]).tolist()
    num_slots = queue.shape[1]
    keys = torch.cat([queue[1:].flatten(0, 1), torch.zeros_like(queue[0])])
    key_labels = [c for c in range(1, len(queue))
                  for _ in range(num_slots)] + [0] * num_slots
    losses = []
    for i, (row, label) in enumerate(zip(rows, row_labels)):
        logit = [float(row @ key) / temperature for key in keys]
        below = sum(math.exp(s) for s, lab in zip(logit, key_labels)
                    if lab != label)
        terms = [s - math.log(math.exp(s) + below)
                 for k, (s, lab) in enumerate(zip(logit, key_labels))
                 if lab == label and k != i]
        losses.append(-temperature / base_temperature * sum(terms) /
                      len(terms))
    return sum(losses) / len(losses)


class BrokenQueues:
    """The released enqueue with its faults, first picks (F4).

    Pixels are picked by position in the map and not among those of the
    class, the pixel pointer moves by one however many are written, the end
    of the ring is written from its tail, and class 0 is left out.
    """

    def __init__(self, num_classes: int, num_slots: int, num_pixels: int,
                 stride: int, dims: int) -> None:
        self.segments = torch.zeros(
            num_classes, num_slots, dims, dtype=torch.float64)
        self.pixels = torch.zeros_like(self.segments)
        self.segment_pointer = [0] * num_classes
        self.pixel_pointer = [0] * num_classes
        self.num_pixels, self.stride = num_pixels, stride

    def enqueue(self, embeddings: Tensor, labels: Tensor) -> None:
        """Embeddings (B, D, h, w), labels (B, H, W)."""
        labels = labels[:, ::self.stride, ::self.stride]
        num_slots = self.pixels.shape[1]
        for rows, truth in zip(embeddings.flatten(2), labels.flatten(1)):
            for c in sorted(set(truth.tolist())):
                if c <= 0:
                    continue
                index = [i for i, t in enumerate(truth.tolist()) if t == c]
                mean = normalize(rows[:, index].mean(1), dim=0)
                self.segments[c, self.segment_pointer[c]] = mean
                self.segment_pointer[c] = (self.segment_pointer[c] +
                                           1) % num_slots
                count = min(len(index), self.num_pixels)
                picks = normalize(rows[:, :count].T, dim=1)
                start = self.pixel_pointer[c]
                if start + count >= num_slots:
                    self.pixels[c, -count:] = picks
                    self.pixel_pointer[c] = 0
                else:
                    self.pixels[c, start:start + count] = picks
                    self.pixel_pointer[c] += 1


def kmeans_loop(points: Tensor, labels: List[int], num_clusters: int,
                num_iters: int) -> List[int]:
    """Spherical k-means of unit rows (N, D), pixel by pixel."""
    labels = list(labels)
    for _ in range(num_iters):
        means = []
        for k in range(num_clusters):
            members = [p for p, z in zip(points, labels) if z == k]
            total = sum(members, torch.zeros_like(points[0]))
            norm = float(total.norm())
            means.append(total / norm if norm > 0 else total)
        for i, point in enumerate(points):
            if labels[i] >= 0:
                scores = [float(point @ mean) for mean in means]
                labels[i] = scores.index(max(scores))
    return labels


def segment_sorting_loop(anchors: Tensor, anchor_labels: List[int],
                         keys: Tensor, key_labels: List[int], *,
                         own_key: List[int], concentration: float,
                         positives: str, anchor_groups: List[int] = (),
                         key_groups: List[int] = ()) -> Tuple:
    """Loss and validity of every pixel, by the definition."""
    losses, valid = [], []
    anchor_groups = list(anchor_groups) or [-1] * len(anchor_labels)
    key_groups = list(key_groups) or [-1] * len(key_labels)
    for anchor, label, own, group in zip(anchors, anchor_labels, own_key,
                                         anchor_groups):
        exps = [math.exp(concentration * float(anchor @ key))
                for key in keys]
        same = [k for k, y in enumerate(key_labels) if y == label and y >= 0]
        others = [k for k in same if k != own]
        chosen = [own] if own in same else []
        if positives == 'same_class' and others:
            chosen = others
        ok = label >= 0 and bool(chosen)
        valid.append(ok)
        if not ok:
            losses.append(0.)
            continue
        near = sum(exps[k] for k in chosen)
        far = sum(e for e, y, g in zip(exps, key_labels, key_groups)
                  if y >= 0 and y != label and not g == group >= 0)
        losses.append(-math.log(near / (near + far)))
    return losses, valid


def discriminative_loop(embeddings: Tensor, ids: Tensor, *,
                        delta_var: float = .5, delta_dist: float = 1.5,
                        p: float = 2., min_pixels: int = 1) -> Tuple[float,
                                                                     ...]:
    """Pull, push and reg of one image (D, N), as the paper writes them.

    Args:
        embeddings: (D, N) float64.
        ids: (N,); 0 and negative ones take no part.
    """
    points = embeddings.T
    groups = [[points[i] for i in range(len(ids)) if ids[i] == c]
              for c in sorted(set(ids.tolist())) if c > 0]
    groups = [g for g in groups if len(g) >= min_pixels]
    if not groups:
        return 0., 0., 0.
    means = [sum(g) / len(g) for g in groups]
    num = len(groups)
    pull = push = 0.
    for mean, group in zip(means, groups):
        hinges = [max(0., (x - mean).norm(p).item() - delta_var)
                  for x in group]
        pull += sum(h * h for h in hinges) / len(group) / num
    for a in range(num):
        for b in range(num):
            if a != b:
                near = max(0., 2 * delta_dist
                           - (means[a] - means[b]).norm(p).item())
                push += near * near / (num * (num - 1))
    return pull, push, sum(m.norm(p).item() for m in means) / num
