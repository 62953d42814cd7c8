"""Which images and pipeline a bank is made of."""
import copy

import pytest
import tiny
from mmengine.config import ConfigDict
from mmengine.dataset import RepeatDataset
from mmengine.registry import init_default_scope

from mmpixsort.retrieval.images import (annotated_images, annotated_pipeline,
                                        source_configs, view_pipeline)


def loader(pipeline, **changes):
    data = dict(type='Pipelined', _scope_='mmengine', pipeline=pipeline)
    return dict(dataset={**data, **changes})


@tiny.DATASETS.register_module(force=True)
class Pipelined(tiny.NoisyBlocks):
    """Keeps its arguments."""

    def __init__(self, pipeline, test_mode=False, num_images=3):
        super().__init__(num_images)
        self.pipeline, self.test_mode = pipeline, test_mode

    def full_init(self):
        """Called by a concatenation."""

    def get_data_info(self, index):
        return dict(img_path=f'{len(self)}_{index}.png')


def steps(*names):
    return [dict(type=name) for name in names]


def names(pipeline):
    return [step['type'] for step in pipeline]


LABELS = dict(type='mmseg.LoadAnnotations', reduce_zero_label=True)
TRAIN = [*steps('LoadImageFromFile'), LABELS, *steps('Flip', 'Pack')]
TEST = steps('LoadImageFromFile', 'Resize', 'LoadAnnotations', 'PackTest')
VAL = steps('LoadImageFromFile', 'LoadAnnotations', 'PackVal')
VIEWS = [*steps('LoadImageFromFile'), dict(type='TestTimeAug', transforms=[
    [dict(type='Resize', scale_factor=factor) for factor in (.5, 1., 1.5)],
    [dict(type='RandomFlip', prob=1.), dict(type='RandomFlip', prob=0.)],
    [dict(type='LoadAnnotations')], [dict(type='PackView')]])]


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmseg')


def config(test=TEST, val=VAL, train=TRAIN, **changes):
    return ConfigDict(
        train_dataloader=loader(train, num_images=5, **changes),
        val_dataloader=val and loader(val),
        test_dataloader=test and loader(test))


@pytest.mark.parametrize('stage, test, val, want', [
    ('test', TEST, VAL, TEST), ('val', TEST, VAL, VAL),
    ('test', VIEWS, VAL, VAL), ('val', TEST, None, TEST),
    ('test', None, VAL, VAL)])
def test_annotated_images__take_the_pipeline_of_the_stage(
        stage, test, val, want):
    cfg = config(test, val)
    before = copy.deepcopy(cfg)
    dataset = annotated_images(cfg, stage=stage)
    assert len(dataset) == 5 and dataset.test_mode
    assert dataset.pipeline == want
    assert cfg == before


def test_annotated_pipeline__of_a_test_without_ground_truth():
    """The steps of the training, after the resizing of the test."""
    blind = steps('LoadImageFromFile', 'Resize', 'PackTest')
    found = annotated_pipeline(config(blind), 'test')
    assert found == [*blind[:2], LABELS, dict(type='Pack')]
    assert view_pipeline(config(blind), 'test') == blind


def test_view_pipeline__one_view_of_an_augmented_test():
    found = view_pipeline(config(VIEWS, None), 'test')
    assert names(found) == ['LoadImageFromFile', 'Resize', 'RandomFlip',
                            'LoadAnnotations', 'PackView']
    assert found[1]['scale_factor'] == 1 and found[2]['prob'] == 0


@pytest.mark.parametrize('wrap', [
    lambda d: dict(type='RepeatDataset', times=4, dataset=d),
    lambda d: dict(type='mmseg.RepeatDataset', times=4, dataset=d),
    lambda d: dict(type=RepeatDataset, times=4, dataset=d),
    lambda d: dict(type='ConcatDataset', datasets=[d, copy.deepcopy(d)]),
    lambda d: dict(type='ConcatDataset', datasets=[
        dict(type='RepeatDataset', times=50, dataset=d)]),
    lambda d: dict(type='mmseg.MultiImageMixDataset', pipeline=steps('Mix'),
                   dataset=dict(type='RepeatDataset', times=2, dataset=d)),
    lambda d: dict(type='ClassBalancedDataset', oversample_thr=.1,
                   dataset=d)])
def test_annotated_images__each_once_at_any_depth(wrap):
    cfg = config()
    cfg.train_dataloader.dataset = wrap(cfg.train_dataloader.dataset)
    dataset = annotated_images(cfg)
    assert len(dataset) == 5 and dataset.pipeline == TEST


def test_annotated_images__of_several_data_sets():
    one, two = (loader(TRAIN, num_images=n)['dataset'] for n in (2, 3))
    nested = dict(type='ConcatDataset', datasets=[
        one, dict(type='RepeatDataset', times=9, dataset=dict(
            type='ConcatDataset', datasets=[two, one]))])
    assert source_configs(nested) == [one, two]
    cfg = config()
    cfg.train_dataloader.dataset = ConfigDict(nested)
    dataset = annotated_images(cfg)
    paths = [dataset.get_data_info(i)['img_path']
             for i in range(len(dataset))]
    assert paths == [f'2_{i}.png' for i in range(2)] + [
        f'3_{i}.png' for i in range(3)]


@pytest.mark.parametrize('cfg, error', [
    (config(None, None), 'must have `test_dataloader` or `val_dataloader`'),
    (dict(test_dataloader=loader(TEST)), 'must have `train_dataloader`'),
    (config(steps('Pack'), None, steps('Pack')), 'must load annotation')])
def test_annotated_images__nothing_to_take(cfg, error):
    with pytest.raises(ValueError, match=error):
        annotated_images(ConfigDict(cfg))
