"""The public names, listed by hand."""
import importlib

import pytest

PUBLIC = {
    'mmpixsort.apis': {'METHODS', 'Method', 'attach', 'attach_file',
                       'register_method'},
    'mmpixsort.functional': {'masked_mean', 'pca_rgb', 'pixel_contrast'},
    'mmpixsort.losses': {'PixelContrastLoss'},
    'mmpixsort.banks': {'ClassQueue'},
    'mmpixsort.samplers': {'HardAnchorSampler', 'KeyMiner'},
    'mmpixsort.layers': {'ProjectionHead', 'TrainingClock', 'select_feature',
                         'tap', 'warmup_weight'},
    'mmpixsort.hooks': {'MemoryBankHook'},
    'mmpixsort.seg': {'MetricCascadeEncoderDecoder', 'MetricEncoderDecoder',
                      'PixelContrastHead'},
}


@pytest.mark.parametrize('room', PUBLIC)
def test_public_names__are_those_listed(room):
    module = importlib.import_module(room)
    assert set(module.__all__) == PUBLIC[room]
    for name in PUBLIC[room]:
        assert getattr(module, name).__doc__
