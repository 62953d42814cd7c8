"""Python source of configs."""
import pytest
from mmengine.config import Config

from mmpixsort.apis.attach.config_text import assignment


@pytest.mark.parametrize('value', [
    1, 'text', [1, 2], (1, ), {}, dict(a=dict(b=[1, (2, )], c=None)),
    {'a-b': 1, 2: 'x'},
    dict(type='A' * 60, channels=[1000] * 30, other=dict(type='B' * 50)),
    'mmseg::swin/swin-base-patch4-window12-in1k-384x384-pre_upernet_8xb2-'
    '160k_ade20k-512x512.py'
])
def test_assignment__gives_the_value_back(value):
    text = assignment('name', value)
    assert max(map(len, text.splitlines())) < 80
    scope = {}
    exec(text, scope)
    assert scope['name'] == value


def test_assignment__breaks_a_base_that_can_be_read(tmp_path):
    base = ('mmseg::bisenetv1/bisenetv1_r101-d32-in1k-pre_4xb4-160k_'
            'coco-stuff164k-512x512.py')
    path = tmp_path / 'config.py'
    path.write_text(assignment('_base_', base) + '\n')
    assert Config.fromfile(path).model.backbone.type == 'BiSeNetV1'
