"""Numbers of classes that are stated in several places are compared."""
from types import SimpleNamespace

import pytest
import tiny
import tiny_instances
from mmengine.registry import DATASETS

from mmpixsort.det.transforms import PaintInstanceMap
from mmpixsort.hooks import MemoryBankHook
from mmpixsort.hooks.class_checks import (check_classes, check_instance_labels,
                                          heads_with_classes)

THINGS = dict(thing_classes=['car', 'person'], stuff_classes=['road', 'sky'])


def dataset(*steps, **metainfo):
    return SimpleNamespace(
        metainfo=metainfo, pipeline=SimpleNamespace(transforms=steps))


def joined(part):
    return SimpleNamespace(metainfo=part.metainfo, datasets=[part])


MODELS = dict(
    segmentor=(tiny.build, tiny.attached(), dict(
        classes=['a', 'b', 'c', 'd']), dict(classes=['a', 'b']),
        '`num_classes` of `metric_head` must be 2'),
    instances=(tiny_instances.build_config, tiny_instances.config(), dict(
        classes=['a', 'b']), dict(classes=['a']),
        '`num_classes` of `head` must be 1'),
    sorting=(tiny_instances.build_config, tiny_instances.panoptic(), THINGS,
             dict(THINGS, thing_classes=['car']),
             '`num_things` of `head` must be 1'),
    discriminative=(tiny_instances.build_config,
                    tiny_instances.panoptic_discriminative(), THINGS,
                    dict(THINGS, stuff_classes=['road']),
                    '`num_stuff` of `head` must be 1'))


@pytest.mark.parametrize('name', MODELS)
def test_check_classes__of_head_and_data_set(name):
    build, config, right, wrong, error = MODELS[name]
    model = build(config)
    assert len(list(heads_with_classes(model))) == 1
    check_classes(model, dataset(**right))
    check_classes(model, dataset())  # says nothing of its classes
    with pytest.raises(ValueError, match=error):
        check_classes(model, dataset(**wrong))


@pytest.mark.parametrize('wrap', [lambda part: part, joined])
def test_check_classes__of_the_pipeline(wrap):
    model = tiny_instances.build_config(tiny_instances.panoptic())
    check_classes(model, wrap(dataset(
        PaintInstanceMap(num_things=2), **THINGS)))
    with pytest.raises(ValueError, match='`num_things` of PaintInstanceMap '
                       'must be 2'):
        check_classes(model, wrap(dataset(
            PaintInstanceMap(num_things=3), **THINGS)))


@pytest.mark.parametrize('config, bad', [
    (tiny_instances.config(), 2), (tiny_instances.config(), -1),
    (tiny_instances.panoptic(), 2),
    (tiny_instances.panoptic_discriminative(), 2)])
def test_instance_labels__must_be_classes_of_things(config, bad):
    model = tiny_instances.build_config(config)
    _, sample = tiny_instances.item()
    check_instance_labels([sample], model.head)
    sample.gt_instances.labels[0] = bad
    with pytest.raises(ValueError, match=r'must lie in \[0, 2\)'):
        check_instance_labels([sample], model.head)
    run = SimpleNamespace(model=model)
    with pytest.raises(ValueError, match=r'must lie in \[0, 2\)'):
        MemoryBankHook().before_train_iter(
            run, 0, dict(data_samples=tiny_instances.with_stuff([sample])))


def test_runner__stops_before_the_first_step(tmp_path, monkeypatch):
    monkeypatch.setattr(DATASETS.get('NoisyBlocks'), 'metainfo',
                        dict(classes=['one', 'two']))
    run = tiny.runner(tmp_path, tiny.attached(), iters=2)
    with pytest.raises(ValueError, match='`num_classes` of `metric_head`'):
        run.train()
    assert run.iter == 0 and not list(tmp_path.glob('*.pth'))
