"""Which images and pipeline a bank is made of."""
import pytest
import tiny
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope

from mmpixsort.retrieval.images import annotated_images


def loader(pipeline, **changes):
    data = dict(type='Pipelined', _scope_='mmengine', pipeline=pipeline)
    return dict(dataset={**data, **changes})


@tiny.DATASETS.register_module(force=True)
class Pipelined(tiny.NoisyBlocks):
    """Keeps its arguments."""

    def __init__(self, pipeline, test_mode=False, num_images=3):
        super().__init__(num_images)
        self.pipeline, self.test_mode = pipeline, test_mode


TRAIN, TEST, VAL = ([dict(type=name)] for name in ('Flip', 'Pack', 'Load'))
VIEWS = [dict(type='TestTimeAug', transforms=[])]


@pytest.mark.parametrize('test, want', [(TEST, TEST), (VIEWS, VAL)])
def test_annotated_images__take_the_pipeline_of_one_view(test, want):
    init_default_scope('mmseg')
    cfg = ConfigDict(
        train_dataloader=loader(TRAIN, num_images=5),
        val_dataloader=loader(VAL), test_dataloader=loader(test))
    dataset = annotated_images(cfg)
    assert len(dataset) == 5 and dataset.test_mode
    assert [step['type'] for step in dataset.pipeline] == [
        step['type'] for step in want]
    assert cfg.train_dataloader.dataset.pipeline == TRAIN


def test_annotated_images__repeated_once():
    init_default_scope('mmseg')
    cfg = ConfigDict(
        train_dataloader=dict(dataset=dict(
            type='RepeatDataset', times=4, **loader(TRAIN))),
        test_dataloader=loader(TEST))
    assert len(annotated_images(cfg)) == 3


@pytest.mark.parametrize('cfg', [
    dict(train_dataloader=loader(TRAIN)),
    dict(train_dataloader=loader(TRAIN), test_dataloader=loader(VIEWS)),
    dict(test_dataloader=loader(TEST))])
def test_annotated_images__nothing_to_take(cfg):
    with pytest.raises(ValueError, match='config must have `train_dataload'):
        annotated_images(ConfigDict(cfg))
