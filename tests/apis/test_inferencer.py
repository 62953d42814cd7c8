"""One inferencer for all methods."""
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny_bank
import tiny_instances
import tiny_text
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmpixsort.apis.bank import build_bank
from mmpixsort.apis.inferencer import PixSortInferencer
from mmpixsort.registry import MODELS

ROOT = Path(__file__).resolve().parents[2]
SIZE = (40, 56)


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp('images')
    rng = np.random.default_rng(0)
    for name in 'ab':
        cells = rng.integers(0, 255, (5, 7, 3), np.uint8)
        picture = cv2.resize(cells, SIZE[::-1],
                             interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(folder / f'{name}.png'), picture)
    (folder / 'notes.txt').write_text('no image')
    return folder


@pytest.fixture(scope='module')
def sorting(tmp_path_factory):
    folder = tmp_path_factory.mktemp('sorting')
    cfg = tiny_bank.save_segment_run(folder)
    build_bank(cfg, folder / 'weights.pth', folder / 'x.bank', max_images=4)
    return folder


def detector(folder, model, name):
    """Write the config of a detector and untrained weights."""
    cfg = tiny_bank.small_config()
    cfg.model = model
    cfg.dump(folder / f'{name}.py')
    torch.manual_seed(0)
    built = tiny_instances.build_config(cfg.model)
    torch.nn.init.normal_(built.head.conv_seg.weight)
    torch.save(dict(state_dict=built.state_dict(), meta=dict(
        dataset_meta=dict(classes=['a', 'b', 'c', 'd']))),
        folder / f'{name}.pth')
    return folder / f'{name}.py', folder / f'{name}.pth'


def test_inferencer__by_retrieval(sorting, images, tmp_path):
    infer = PixSortInferencer(
        sorting / 'small.py', sorting / 'weights.pth', 'cpu',
        bank=sorting / 'x.bank')
    found = infer(images, out_dir=tmp_path, pred_out_dir=tmp_path / 'pred')
    part = found['predictions'][1]
    assert part['labels'].shape == part['segments'].shape == SIZE
    assert len(part['neighbor_labels']) > part['segments'].max()
    assert part['embedding'].ndim == 3 and part['embedding'].shape[0] == 32
    assert (tmp_path / 'a_panel.png').is_file()
    assert cv2.imread(str(tmp_path / 'b_embedding.png')).shape == (*SIZE, 3)
    stored = np.load(tmp_path / 'pred' / 'b.npz')
    assert (stored['segments'] == part['segments']).all()
    labels = cv2.imread(str(tmp_path / 'pred' / 'b.png'), -1)
    assert (labels == part['labels']).all()
    # a batch, arrays and a second call give the same
    pictures = [cv2.imread(str(images / f'{name}.png')) for name in 'ab']
    again = infer(pictures, batch_size=2, with_embedding=False)
    assert 'embedding' not in again['predictions'][0]
    assert (again['predictions'][1]['labels'] == part['labels']).all()
    sample, = infer(pictures[1], return_datasamples=True)['predictions']
    assert (sample.pred_sem_seg.data[0].numpy() == part['labels']).all()


def test_inferencer__without_bank_the_classifier_predicts(
        sorting, images, tmp_path):
    cfg = Config.fromfile(sorting / 'small.py')
    assert cfg.model.test_cfg.retrieval
    cfg.model.classifier = 'joint'
    infer = PixSortInferencer(cfg, sorting / 'weights.pth', 'cpu')
    part, = infer(images / 'a.png')['predictions']
    assert 'segments' not in part and part['scores'].max() <= 1
    cfg.model.classifier = 'none'
    with pytest.raises(ValueError, match='needs a bank of prototypes'):
        PixSortInferencer(cfg, sorting / 'weights.pth', 'cpu')
    assert cfg.model.test_cfg.retrieval  # the config of the caller


def test_inferencer__words(images, tmp_path):
    init_default_scope('mmseg')
    cfg = tiny_bank.segment_config()
    cfg.model = tiny_text.config()
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'w.pth')
    infer = PixSortInferencer(cfg, tmp_path / 'w.pth', 'cpu')
    part, = infer(images / 'a.png', words=['cat', 'dog'],
                  out_dir=tmp_path)['predictions']
    assert part['classes'] == ['background', 'cat', 'dog']
    assert part['groups'].shape == SIZE and part['labels'].max() < 3
    assert (tmp_path / 'a_words.png').is_file()


@pytest.mark.parametrize('kind', ['instances', 'panoptic'])
def test_inferencer__detectors(images, tmp_path, kind):
    model = dict(
        instances=tiny_instances.config(),
        panoptic=tiny_instances.panoptic(dict(rules=dict(threshold=.5))))
    config, weights = detector(tmp_path, model[kind], kind)
    part, = PixSortInferencer(config, weights, 'cpu')(
        images / 'a.png', pred_out_dir=tmp_path)['predictions']
    assert part['classes'] == ['a', 'b', 'c', 'd']
    assert part['instances'].shape == SIZE
    assert part['instances'].max() == len(part['instance_labels'])
    assert part['embedding'].shape[0] in (4, 8)
    if kind == 'panoptic':
        assert (part['labels'] == part['panoptic'] % 1000).all()
    assert (tmp_path / 'a.png').is_file()


@pytest.mark.parametrize('options, error, text', [
    (dict(model='no_such_model'), ValueError, 'no_such_model'),
    (dict(model='gone.py', weights='x.pth'), FileNotFoundError, 'gone.py'),
    (dict(weights=None), ValueError, '`weights` must be given'),
    (dict(weights='gone.pth'), FileNotFoundError, 'gone.pth'),
])
def test_inferencer__bad_models(sorting, options, error, text):
    options = dict(dict(
        model=sorting / 'small.py', weights=sorting / 'weights.pth',
        bank=sorting / 'x.bank', device='cpu'), **options)
    with pytest.raises(error, match=text):
        PixSortInferencer(**options)


def test_inferencer__weights_of_another_model(sorting, tmp_path):
    state = torch.load(sorting / 'weights.pth')['state_dict']
    state.pop('backbone.conv1.conv.weight')
    torch.save(dict(state_dict=state), tmp_path / 'w.pth')
    with pytest.raises(ValueError,
                       match='1 are missing.*conv1.*give the config'):
        PixSortInferencer(sorting / 'small.py', tmp_path / 'w.pth', 'cpu',
                          bank=sorting / 'x.bank')


def test_inferencer__bad_inputs(sorting, images, tmp_path):
    infer = PixSortInferencer(
        sorting / 'small.py', sorting / 'weights.pth', 'cpu',
        bank=sorting / 'x.bank')
    with pytest.raises(ValueError, match='`words` must be None'):
        infer(images / 'a.png', words=['cat'])
    with pytest.raises(ValueError, match='at least one image'):
        infer([])
    with pytest.raises(ValueError, match='must hold images'):
        infer(tmp_path)
    with pytest.raises(FileNotFoundError, match='gone.png'):
        infer('gone.png')
    other = tmp_path / 'a.png'
    other.write_bytes((images / 'a.png').read_bytes())
    with pytest.raises(ValueError, match='would share the results'):
        infer([images / 'a.png', other])


def test_tool__writes_pictures(sorting, images, tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / 'tools/infer.py'),
         str(sorting / 'small.py'), str(images), '--weights',
         str(sorting / 'weights.pth'), '--bank', str(sorting / 'x.bank'),
         '--out-dir', str(tmp_path), '--device', 'cpu'],
        capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '2 images' in done.stdout
    assert (tmp_path / 'b_panel.png').is_file()
