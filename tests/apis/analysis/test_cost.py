"""Counts of operations, and measured speed."""
import runpy
import sys
from pathlib import Path

import pytest
import tiny
from mmengine.config import Config

from mmpixsort.apis.analysis.flops import count_flops, describe_cost
from mmpixsort.apis.analysis.random_batch import read_segmentor
from mmpixsort.apis.analysis.speed import (describe_speed, measure_speed,
                                           without_metric_heads)

TOOLS = Path(__file__).resolve().parents[3] / 'tools/analysis_tools'


def config(model, batch_size=2):
    return Config(dict(model=model, default_scope='mmseg',
                       train_dataloader=dict(batch_size=batch_size)))


def test_count_flops__of_parts_that_can_be_counted_by_hand():
    projection = dict(type='mmpixsort.ProjectionHead', linear=True)
    cost = count_flops(config(tiny.attached(
        projection=projection, bank=None)), size=(32, 32))
    head, = cost.heads
    # 16 channels on a grid of 4 x 4, 8 dims
    assert head.projection == 16 * 8 * 4 * 4
    assert head.parameters == 16 * 8 + 8
    assert head.bank_bytes == 0
    # 2 * 4 * 8 anchors against one another: similarities and their gradients
    anchors = 2 * tiny.CLASSES * 8
    assert head.loss % (anchors * anchors * 8) == 0
    assert 2 <= head.loss // (anchors * anchors * 8) <= 4
    plain = count_flops(config(tiny.host()), size=(32, 32))
    assert (plain.host, plain.parameters) == (cost.host, cost.parameters)
    assert plain.heads == [] and plain.share == 0


def test_count_flops__grows_with_image_bank_and_batch():
    small, large = (count_flops(config(tiny.attached()), size=(side, side))
                    for side in (32, 64))
    assert large.host == 4 * small.host
    assert large.heads[0].projection == 4 * small.heads[0].projection
    bank = tiny.attached(bank=dict(type='mmpixsort.ClassQueue', capacity=300))
    banked = count_flops(config(bank), size=(32, 32)).heads[0]
    assert banked.loss > small.heads[0].loss
    # one row more, for what is skipped, and two numbers of each ring
    assert banked.bank_bytes == 4 * 8 * (1 + 4 * 2 * 300) + 2 * 8 * 4 * 2
    assert 0 < small.share < large.share < 1 or small.share > 0


@pytest.mark.parametrize('model', [
    lambda: tiny.attached(source='decoder', in_channels=8),
    lambda: tiny.sorting('decoder'),
    lambda: tiny.sorting(1, classifier='none')
])
def test_count_flops__of_other_heads(model):
    cost = count_flops(config(model()), size=(32, 32))
    assert cost.heads[0].projection > 0 and cost.heads[0].loss > 0
    text = describe_cost(cost)
    assert 'in training only' in text and 'share of the metric heads' in text


def test_speed__share_is_that_of_the_heads():
    speed = measure_speed(config(tiny.attached()), size=(32, 32), repeats=2,
                          device='cpu')
    assert [len(times) for times in speed[3:]] == [2, 2, 2]
    assert speed.share < 1
    text = describe_speed(speed)
    assert 'training step of 2 images' in text and '32 x 32' in text
    plain = measure_speed(config(tiny.host()), size=(32, 32), repeats=1,
                          device='cpu')
    assert plain.share is None and 'share' not in describe_speed(plain)


def test_without_metric_heads__for_a_while():
    model = tiny.build(tiny.attached()).train()
    with without_metric_heads(model):
        assert 'loss_pixel_contrast' not in model(*tiny.batch(), mode='loss')
    assert 'loss_pixel_contrast' in model(*tiny.batch(), mode='loss')


def test_errors(tmp_path):
    for options, message in ((dict(size=(0, 32)), '`shape` must be at least'),
                             (dict(size=(32, 32), num_images=0),
                              '`num_images` must be at least 1'),
                             (dict(size=(32, 32), repeats=0),
                              '`repeats` must be at least 1')):
        with pytest.raises(ValueError, match=message):
            measure_speed(config(tiny.host()), **options)
    Config(dict(model=dict(type='RetinaNet'))).dump(tmp_path / 'det.py')
    with pytest.raises(ValueError, match='segmentor with a `decode_head`'):
        read_segmentor(str(tmp_path / 'det.py'), {})


@pytest.mark.parametrize('tool, options, line', [
    ('get_flops.py', [], 'multiply-adds for an image'),
    ('benchmark.py', ['--repeats', '1', '--device', 'cpu'],
     'images a second')])
def test_tools__from_the_command_line(tool, options, line, tmp_path,
                                      monkeypatch, capsys):
    config(tiny.attached()).dump(tmp_path / 'small.py')
    monkeypatch.setattr(sys, 'argv', [
        tool, str(tmp_path / 'small.py'), '--shape', '32', '32', *options])
    runpy.run_path(str(TOOLS / tool), run_name='__main__')
    assert line in capsys.readouterr().out
