"""Missing packages: the error names the module that is not there."""
import sys

import numpy as np
import pytest
import torch

from mmpixsort.compat import torchvision_for
from mmpixsort.datasets import oversegment
from mmpixsort.text.encoders import clip_weights, open_clip_dual
from mmpixsort.layers import (cluster_backends, mask_backends,
                              separated_components)
from mmpixsort.text.groupers import ssl_feature
from mmpixsort.retrieval import index
from mmpixsort.utils import table_file
from mmpixsort.utils.extras import extra_error


def read_safetensors():
    clip_weights.load_entries(clip_weights.Path('x.safetensors'))


def cluster_by_dbscan():
    cluster_backends.SklearnBackend(method='dbscan').cluster_points(
        torch.zeros(20, 2), 1, 1.)


def components():
    mask_backends.components_of_ids(torch.ones(4, 4).int(), 1)


def oversegments():
    oversegment.felzenszwalb_segments(np.zeros((8, 8, 3), np.uint8))


IMPORTS = [
    (open_clip_dual.import_open_clip, 'open_clip', 'text'),
    (ssl_feature.import_timm, 'timm', 'text'),
    (cluster_by_dbscan, 'sklearn', 'instances'),
    (components, 'skimage', 'instances'),
    (separated_components.import_skimage_graph, 'skimage', 'instances'),
    (oversegments, 'skimage', 'oversegment'),
    (index.import_faiss, 'faiss', 'faiss'),
    (table_file.safetensors_package, 'safetensors', 'safetensors'),
    (read_safetensors, 'safetensors', 'safetensors'),
]


@pytest.fixture
def broken(monkeypatch, tmp_path):
    """Put a package in front that runs one line when it is imported."""

    def make(package, line):
        for name in list(sys.modules):
            if name.split('.')[0] in (package, 'torchvision'):
                monkeypatch.delitem(sys.modules, name)
        (tmp_path / package).mkdir(exist_ok=True)
        (tmp_path / package / '__init__.py').write_text(line)
        monkeypatch.syspath_prepend(tmp_path)

    return make


@pytest.mark.parametrize('load, package, extra', IMPORTS)
def test_import__names_what_the_package_lacks(broken, load, package, extra):
    broken(package, 'import no_such_module.part')
    with pytest.raises(ImportError) as caught:
        load()
    assert '(`no_such_module` is missing)' in str(caught.value)
    assert f'pip install mmpixsort[{extra}]' in str(caught.value)


@pytest.mark.parametrize('load, package, extra', IMPORTS)
def test_import__names_the_package(monkeypatch, load, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    for name in list(sys.modules):
        if name.startswith(f'{package}.'):
            monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError) as caught:
        load()
    assert f'(`{package}' in str(caught.value)
    assert f'pip install mmpixsort[{extra}]' in str(caught.value)


@pytest.mark.parametrize('load, package, extra', IMPORTS[:2])
@pytest.mark.parametrize('line, why', [
    ('import torchvision', '`torchvision` is missing'),
    ('import torchvision.transforms', '`torchvision` is missing'),
    ("raise RuntimeError('operator torchvision::nms does not exist')",
     'operator torchvision::nms does not exist')])
def test_import__torchvision_of_this_torch(
        broken, monkeypatch, load, package, extra, line, why):
    broken(package, line)
    if 'RuntimeError' not in line:
        monkeypatch.setitem(sys.modules, 'torchvision', None)
        why = why if '.' not in line else 'torchvision'
    with pytest.raises(ImportError) as caught:
        load()
    message = str(caught.value)
    assert why in message and 'mmpixsort[' not in message
    assert f'pip install {torchvision_for(torch.__version__)}' in message


def test_extra_error__of_other_kinds_and_with_another_way():
    error = extra_error('this needs y', 'z', OSError('no libz\nand so on'),
                        'x works without it')
    assert str(error) == ('this needs y: pip install mmpixsort[z] (OSError: '
                          'no libz); x works without it')
