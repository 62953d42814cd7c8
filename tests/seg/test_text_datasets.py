"""Data sets with captions, COCO-Object, and the configs of all of them."""
import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip('mmseg')

import mmseg.datasets  # noqa: E402,F401  registers the host's transforms
from mmengine.config import Config  # noqa: E402
from mmengine.dataset import pseudo_collate  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402
from mmseg.registry import DATASETS, METRICS  # noqa: E402
from PIL import Image  # noqa: E402

import mmpixsort.seg.datasets.captioned_shapes  # noqa: E402,F401
import mmpixsort.seg.datasets.coco_object  # noqa: E402,F401
import mmpixsort.seg.datasets.image_caption as image_caption  # noqa: E402
import mmpixsort.seg.transforms.load_captioned_shapes  # noqa: E402,F401
import mmpixsort.seg.transforms.text_groups  # noqa: E402,F401
from mmpixsort.datasets.synthetic.captioned_shapes import (  # noqa: E402
    SHAPE_CLASSES, CaptionedShapes)
from mmpixsort.seg.datasets.image_caption import (  # noqa: E402
    ImageCaptionDataset)

CONFIGS = Path(__file__).resolve().parents[2] / 'configs/_base_/datasets'
EVALUATED = dict(
    voc21=21, voc20=20, context60=60, context59=59, coco_object=81,
    coco_stuff164k=171, ade20k=150, cityscapes=19)
PIPELINE = [dict(type='LoadImageFromFile'),
            dict(type='mmpixsort.PackTextInputs')]


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmseg')


def _save(path, size=(12, 16), value=90):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path):
    """Four images: the first has three captions, the last none of nouns."""
    for name in 'abcd':
        _save(tmp_path / 'img' / f'{name}.jpg', value=ord(name))
    lines = [('a.jpg', 'a dog', ['dog']), ('b.jpg', 'Ein Café', ['Café']),
             ('a.jpg', 'a hound', ['dog']), ('a.jpg', 'grass', []),
             ('c.jpg', 'a red ball', ['ball', 'Ball']), ('d.jpg', 'so', [])]
    (tmp_path / 'nouns.jsonl').write_text('\n'.join(
        json.dumps(dict(img_path=name, caption=text, nouns=nouns))
        for name, text, nouns in lines))
    return tmp_path


def _captions(folder, ann_file='nouns.jsonl', pipeline=(), **options):
    options.setdefault('serialize_data', False)  # collects garbage: slow
    return ImageCaptionDataset(
        ann_file, data_root=str(folder), data_prefix=dict(img_path='img'),
        pipeline=list(pipeline), **options)


@pytest.mark.parametrize('serialize', [True, False])
def test_image_captions__a_sample(folder, serialize):
    dataset = _captions(folder, pipeline=PIPELINE, serialize_data=serialize)
    assert len(dataset) == 4
    packed = dataset[1]
    assert packed['inputs'].shape == (3, 12, 16)
    sample = packed['data_samples']
    assert sample.caption == 'Ein Café' and sample.nouns == ['café']
    assert Path(sample.img_path).name == 'b.jpg'
    assert 'gt_sem_seg' not in sample
    assert dataset[2]['data_samples'].nouns == ['ball']
    assert dataset[3]['data_samples'].nouns == []


def test_image_captions__every_caption_in_turn(folder):
    dataset = _captions(folder)
    rounds = [[dataset[0]['caption'] for _ in range(3)] for _ in range(4)]
    assert all(
        sorted(texts) == ['a dog', 'a hound', 'grass'] for texts in rounds)
    again = _captions(folder)
    assert [again[0]['caption'] for _ in range(3)] == rounds[0]
    others = {_captions(folder, seed=s)[0]['caption'] for s in range(20)}
    assert len(others) == 3
    test = _captions(folder, test_mode=True)
    assert {test[0]['caption'] for _ in range(4)} == {'a dog'}


def test_image_captions__workers_that_start_anew(folder):
    def run(seed):
        torch.manual_seed(seed)
        loader = torch.utils.data.DataLoader(
            _captions(folder), num_workers=2, collate_fn=pseudo_collate)
        return [next(iter(loader))['caption'][0] for _ in range(8)]
    first = run(0)
    # an epoch differs from the next, and a run repeats
    assert len(set(first)) > 1
    assert run(0) == first


def test_image_captions__filter_and_statistics(folder):
    dataset = _captions(folder, filter_empty_nouns=True)
    assert len(dataset) == 3
    assert {dataset[0]['caption'] for _ in range(4)} == {'a dog', 'a hound'}
    found = dataset.caption_statistics()
    assert found[:3] == (3, 4, 0)
    assert found.counts == dict(dog=2, ball=1, café=1)
    assert _captions(folder).caption_statistics()[:3] == (4, 6, 2)


def test_image_captions__lazy(folder):
    dataset = _captions(folder, lazy_init=True)
    assert not dataset._fully_initialized
    assert dataset.caption_statistics().num_images == 4 == len(dataset)


def test_image_captions__coco_with_a_lexicon(folder):
    (folder / 'captions.json').write_text(json.dumps(dict(
        images=[dict(id=1, file_name='a.jpg')],
        annotations=[dict(id=3, image_id=1, caption='Two kittens'),
                     dict(id=2, image_id=1, caption='Cats on a gizmo')])))
    with pytest.raises(ValueError, match='tools/extract_nouns.py'):
        _captions(folder, 'captions.json')
    assert _captions(folder, 'captions.json', need_nouns=False)[0][
        'nouns'] == []
    dataset = _captions(folder, 'captions.json', lexicon='everyday')
    assert [dataset[0]['nouns'] for _ in range(2)] == [['cat'], ['cat']]
    (folder / 'words.txt').write_text('gizmo')
    dataset = _captions(folder, 'captions.json', test_mode=True,
                        lexicon=str(folder / 'words.txt'))
    assert dataset[0]['caption'] == 'Cats on a gizmo'
    assert dataset[0]['nouns'] == ['gizmo']


@pytest.mark.parametrize('content', [b'', b'no image', None])
def test_image_captions__broken_image_is_replaced(
        folder, monkeypatch, content):
    path = folder / 'img' / 'b.jpg'
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    said = []
    monkeypatch.setattr(image_caption, 'print_log',
                        lambda text, **_: said.append(text))
    dataset = _captions(folder, pipeline=PIPELINE)
    np.random.seed(0)
    said.clear()
    for _ in range(5):
        sample = dataset[1]['data_samples']
        assert Path(sample.img_path).name != 'b.jpg'
    assert dataset.num_broken >= 5
    # at the first, second and fourth
    counts = [int(text.split('(')[1].split()[0]) for text in said]
    assert counts[:3] == [1, 2, 4] and 'b.jpg' in said[0]
    with pytest.raises(Exception):
        _captions(folder, pipeline=PIPELINE, test_mode=True)[1]


def test_image_captions__other_errors_are_not_hidden(folder):
    def fail(results):
        raise RuntimeError('a bug of a transform')
    dataset = _captions(folder, pipeline=[PIPELINE[0], fail])
    with pytest.raises(RuntimeError, match='a bug'):
        dataset[0]
    assert dataset.num_broken == 0


def test_image_captions__logs_what_it_holds(folder, monkeypatch):
    said = []
    monkeypatch.setattr(
        image_caption, 'print_log',
        lambda text, logger, level=logging.INFO: said.append(text))
    _captions(folder)
    assert said == ['nouns.jsonl: 6 captions of 4 images, 4 nouns of 3 kinds '
                    '(dog 2, ball 1, café 1), 33.3% of the captions without '
                    'any']


def test_image_captions__missing_files(folder):
    with pytest.raises(FileNotFoundError, match='none.jsonl'):
        _captions(folder, 'none.jsonl')
    with pytest.raises(FileNotFoundError, match='data_prefix.img_path'):
        ImageCaptionDataset('nouns.jsonl', data_root=str(folder))
    (folder / 'empty.jsonl').touch()
    with pytest.raises(ValueError, match='must hold a caption'):
        _captions(folder, 'empty.jsonl')


def test_image_captions__real_captions(shared_data):
    root = shared_data / 'coco_mini'
    if not root.is_dir():
        pytest.skip(f'no {root}')
    dataset = ImageCaptionDataset(
        'annotations/captions_val.json', lexicon='everyday',
        data_root=str(root), data_prefix=dict(img_path='images/val'),
        pipeline=PIPELINE)
    assert len(dataset) == 33
    assert all(dataset[i]['inputs'].shape[0] == 3 for i in range(5))


def _shapes(**options):
    return DATASETS.build(dict(
        type='mmpixsort.GeneratedShapesCaptions', num_images=4,
        pipeline=[dict(type='mmpixsort.LoadCaptionedShapes'),
                  dict(type='mmpixsort.PackTextInputs')], **options))


@pytest.mark.parametrize('split', ['train', 'val', 'test', 'pairs'])
def test_shapes_dataset__equals_generator(split):
    options = dict(split=split, seed=4, drop_noun=.5,
                   held_out_pairs=[['disk', 'bar']])
    dataset = _shapes(**options)
    assert len(dataset) == 4
    assert dataset.metainfo['classes'] == SHAPE_CLASSES
    scene = CaptionedShapes(4, **options)[2]
    packed = dataset[2]
    image = packed['inputs'].permute(1, 2, 0).numpy()
    assert np.array_equal(image[..., ::-1], scene.image)
    sample = packed['data_samples']
    assert sample.caption == scene.caption
    assert sample.nouns == list(scene.nouns)
    if split == 'train':  # which has no masks
        assert 'gt_sem_seg' not in sample
    else:
        assert np.array_equal(sample.gt_sem_seg.data[0], scene.labels)


def test_shapes_dataset__fewer_classes():
    dataset = _shapes(split='test', metainfo=dict(classes=('disk', 'ring')))
    for index in range(4):
        labels = dataset[index]['data_samples'].gt_sem_seg.data
        assert set(labels.unique().tolist()) <= {0, 1, 255}
    with pytest.raises(ValueError, match='`drop_noun`'):
        _shapes(drop_noun=-1)


def _read(name):
    return Config.fromfile(CONFIGS / f'{name}.py')


def _place(root, cfg, classes):
    """Write an image and its labels where a config looks for them."""
    prefix = cfg.data_prefix
    kind = DATASETS.get(cfg.type)
    suffix = dict(COCOStuffDataset='_labelTrainIds.png',
                  CityscapesDataset='_gtFine_labelTrainIds.png')
    ending = dict(CityscapesDataset='_leftImg8bit.png')
    _save(root / prefix.img_path / (
        'x' + ending.get(kind.__name__, '.jpg')), size=(60, 90))
    labels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    path = root / prefix.seg_map_path / (
        'x' + suffix.get(kind.__name__, '.png'))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels).save(path)
    if cfg.get('ann_file'):
        (root / cfg.ann_file).parent.mkdir(parents=True, exist_ok=True)
        (root / cfg.ann_file).write_text('x\n')


@pytest.mark.parametrize('name', EVALUATED)
def test_text_config__builds_and_loads(name, tmp_path):
    cfg = _read(f'{name}_text')
    part = cfg.test_dataloader.dataset
    _place(tmp_path, part, EVALUATED[name])
    part.data_root = str(tmp_path)
    dataset = DATASETS.build(part)
    assert len(dataset) == 1
    classes = dataset.metainfo['classes']
    assert len(classes) == len(dataset.metainfo['palette'])
    assert len(classes) == EVALUATED[name]
    packed = dataset[0]
    # the short side is 448, the labels are not resized
    assert min(packed['inputs'].shape[1:]) == 448
    labels = packed['data_samples'].gt_sem_seg.data
    assert labels.shape == (1, 16, 16)
    known = set(labels.unique().tolist()) - {255}
    assert set(range(len(classes))) <= known
    if name == 'voc20':
        assert labels.flatten()[0] == 255 and labels.flatten()[1] == 0
    assert METRICS.get(cfg.test_evaluator.type) is not None
    assert 'train_dataloader' not in cfg


@pytest.mark.parametrize('name', EVALUATED)
def test_text_config__aliases_are_of_its_classes(name):
    cfg = _read(f'{name}_text')
    part = cfg.test_dataloader.dataset
    classes = part.get('metainfo', DATASETS.get(part.type).METAINFO)[
        'classes']
    assert set(cfg.aliases) <= set(classes)
    names = [alias for others in cfg.aliases.values() for alias in others]
    assert len(set(names)) == len(names)
    # no alias is the name of another class
    for own, others in cfg.aliases.items():
        for alias in others:
            assert alias == own or alias not in classes, (own, alias)


@pytest.mark.parametrize('name', EVALUATED)
def test_text_config__joins_captions_for_training(name, tmp_path):
    child = tmp_path / 'child.py'
    bases = [str(CONFIGS / f'{part}_text.py')
             for part in ('image_captions', name)]
    child.write_text(f'_base_ = {bases}\n')
    cfg = Config.fromfile(child)
    assert cfg.train_dataloader.dataset.type == (
        'mmpixsort.ImageCaptionDataset')
    assert cfg.test_dataloader.dataset.pipeline == cfg.test_pipeline


def test_caption_config__builds_and_loads(folder):
    cfg = _read('image_captions_text')
    part = cfg.train_dataloader.dataset
    part.data_root, part.data_prefix.img_path = str(folder), 'img'
    _save(folder / 'img' / 'c.jpg', size=(100, 300))
    dataset = DATASETS.build(part)
    for index in (0, 2):
        packed = dataset[index]
        assert packed['inputs'].shape == (3, 224, 224)
        assert packed['data_samples'].caption
        assert packed['data_samples'].ori_shape


def test_shapes_config__builds_and_loads():
    cfg = _read('shapes_captions_text')
    sizes = dict(train=2000, val=200, test=200)
    for split, size in sizes.items():
        dataset = DATASETS.build(cfg[f'{split}_dataloader'].dataset)
        assert len(dataset) == size
        packed = dataset[1]
        assert packed['inputs'].shape == (3, 64, 64)
        assert ('gt_sem_seg' in packed['data_samples']) == (split != 'train')


def test_coco_object__names():
    classes = DATASETS.get('mmpixsort.COCOObjectDataset').METAINFO['classes']
    assert len(set(classes)) == 81
    assert classes[:2] == ('background', 'person')
    assert classes[-1] == 'toothbrush'
