"""Report how similar the contexts of retrieved instances are.

The context of an instance is the histogram of the classes around it; see
:mod:`mmpixsort.functional.instances.context`.
"""
import math
from pathlib import Path
from typing import Dict, NamedTuple, Optional

from mmengine.config import Config

from mmpixsort.metrics.context_consistency import (ContextScores,
                                                   relative_gain,
                                                   score_context)
from mmpixsort.retrieval.instances import StoredInstances

from .instance_bank import build_instance_bank


class ContextReport(NamedTuple):
    """Context consistency of a bank of instances.

    Attributes:
        num_neighbors: Number of neighbours k that are retrieved.
        num_instances: Number of instances in the bank.
        embedding: Scores of retrieval by the embedding; its `expected` is the
            score of random instances of the same class.
        baseline: Scores of retrieval by the baseline feature.
        feature: Name of the baseline feature.
        over_baseline: Relative gain of the embedding over the baseline
            feature, as a fraction.
    """

    num_neighbors: int
    num_instances: int
    embedding: ContextScores
    baseline: ContextScores
    feature: str
    over_baseline: float

    def to_json(self) -> Dict:
        """Return the report as dicts for JSON, with None in place of NaN."""
        scores = {name: {key: _number(value) for key, value in
                         getattr(self, name)._asdict().items()}
                  for name in ('embedding', 'baseline')}
        return dict(
            self._asdict(), **scores,
            over_baseline=_number(self.over_baseline))

    def table(self) -> str:
        """Return the scores as a table in plain text."""
        own, base = self.embedding, self.baseline
        lines = [
            f'context consistency of {own.num_queries} of '
            f'{self.num_instances} instances, {self.num_neighbors} '
            'neighbours', '', f'{"":<24}consistency  over random',
            _line('embedding', own.retrieved, own.gain),
            _line(self.feature, base.retrieved, base.gain),
            f'{"random of the class":<24}{own.expected:11.4f}  '
            f'spread {own.spread:.4f}', '',
            f'embedding over {self.feature}: {self.over_baseline:+.1%}'
        ]
        return '\n'.join(lines)


def report_context(stored: StoredInstances,
                   *,
                   num_neighbors: int = 5,
                   other: Optional[StoredInstances] = None,
                   num_draws: int = 10,
                   seed: int = 0) -> ContextReport:
    """Score the contexts of the instances that an embedding retrieves.

    The scores are compared with those of random instances of the same class,
    and with retrieval by a baseline feature of the classifier.

    Args:
        stored: Bank of instances.
        num_neighbors: Number of neighbours k that are retrieved.
        other: Bank of the same instances that was built with a network
            trained without a metric loss. Its baseline feature is used; None
            uses the baseline feature of `stored`.
        num_draws: Number of random draws of instances, from which the spread
            is computed.
        seed: Seed of the random draws.

    Raises:
        ValueError: If no class has instances with a context in two images,
            or `other` contains other instances.
    """
    other = stored if other is None else other
    _check_same(stored, other)
    options = dict(num_neighbors=num_neighbors, num_draws=num_draws,
                   seed=seed)
    own = score_context(stored.bank(), **options)
    if not own.num_queries:
        raise ValueError(
            'the bank must have a class with instances in two images that '
            'have a context, got none; build it with more images')
    base = score_context(
        stored.bank()._replace(embeddings=other.rows.baseline), **options)
    name = other.meta['rules']['feature']
    if other is not stored:
        name = f'{name} of other net'
    return ContextReport(
        num_neighbors, len(stored), own, base, name,
        relative_gain(own.retrieved, base.retrieved))


def score_context_of_run(cfg: Config, checkpoint: Path) -> Dict[str, float]:
    """Score the contexts that a trained network retrieves.

    This is a `scorer` for studies.

    Args:
        cfg: Config with `test_dataloader`; the bank is written to its work
            directory.
        checkpoint: Path of the weights.

    Returns:
        Relative gains in percent over random instances of the same class:
        `context_embedding`, `context_logits` and `context_classifier`; and
        `context_over_logits`, the first minus the second.
    """
    scores = {}
    for feature in ('logits', 'classifier'):
        stored = build_instance_bank(
            cfg, checkpoint, Path(cfg.work_dir, f'{feature}.safetensors'),
            split='test', feature=feature)
        report = report_context(stored)
        scores[f'context_{feature}'] = 100 * report.baseline.gain
        if feature == 'logits':
            scores['context_embedding'] = 100 * report.embedding.gain
            scores['context_over_logits'] = 100 * (
                report.embedding.gain - report.baseline.gain)
    return scores


def _check_same(stored: StoredInstances, other: StoredInstances) -> None:
    """Raise ValueError unless two banks hold the same instances."""
    same = stored.meta['images'] == other.meta['images'] and all(
        getattr(stored.rows, name).equal(getattr(other.rows, name))
        for name in ('image_ids', 'numbers', 'classes', 'boxes'))
    if not same:
        raise ValueError(
            f'`other` must hold the same {len(stored)} instances, got '
            f'{len(other)}, some of which differ; build both banks from '
            'annotated instances with the same split and `min_area`')


def _line(name: str, score: float, gain: float) -> str:
    return f'{name:<24}{score:11.4f}  {gain:+11.1%}'


def _number(value: float) -> Optional[float]:
    return None if math.isnan(value) else value
