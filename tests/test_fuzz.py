"""Damaged files of every kind: read as they are, or one error that names them.

The budget is fixed: so many seeds a reader, each a file that was damaged in
another way.
"""
import json
import pickle
import random
import warnings

import cv2
import numpy as np
import pytest
import torch
from text.test_clip_weights import Archive, openai_state
from mmdet.utils import register_all_modules
from PIL import Image
from open_clip_shim import random_clip, require_open_clip
from retrieval.test_bank_file import make_bank

from mmpixsort.apis.exemplars import read_mask
from mmpixsort.retrieval.instances import (InstanceRows, StoredInstances,
                                           read_instances, write_instances)
from mmpixsort.apis.study.results import Results
from mmpixsort.apis.text_bank import import_matrix, read_vocabulary
from mmpixsort.text.captions import read_captions
from mmpixsort.datasets.group_maps import (SETTINGS, open_group_folder,
                                           read_group_settings, read_groups,
                                           write_groups)
from mmpixsort.datasets.instance_maps import read_instance_map
from mmpixsort.datasets.map_owners import OWNERS, claim_maps, read_owners
from mmpixsort.text.nouns import read_lexicon
from mmpixsort.datasets.oversegment import read_segments, write_segments
from mmpixsort.datasets.panoptic_maps import id_to_rgb, read_panoptic_map
from mmpixsort.text.encoders.clip_weights import read_clip
from mmpixsort.text.bank import TextBank
from mmpixsort.text.bank_file import read_text_bank
from mmpixsort.registry import DATASETS
from mmpixsort.retrieval import read_bank, write_bank
from mmpixsort.retrieval.build import ImageRows
from mmpixsort.retrieval.parts import read_parts, write_part
from mmpixsort.utils.publish import publish_checkpoint

SEEDS = 60
IDS = np.arange(48).reshape(6, 8) % 7
CAPTIONS = [dict(img_path=f'{i}.jpg', caption=f'A cat and dog {i}',
                 nouns=['cat', 'dog']) for i in range(4)]
OTHER_FILES = [
    b'', b'\x00' * 64, b'<!DOCTYPE html><html><body>404</body></html>',
    b'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n',
    b'[]', b'{}', b'null', b'[' * 100_000, b'\xff\xfe\x00text',
    pickle.dumps({'state_dict': {}}), b'PK\x05\x06' + b'\x00' * 18,
    b'\x89PNG\r\n\x1a\n' + b'\x00' * 40]


def damage(content, seed, is_json):
    """Return the content of a file after an accident, by seed."""
    rng = random.Random(seed)
    if seed < len(OTHER_FILES):
        return OTHER_FILES[seed]
    if is_json and rng.random() < .7:
        return damage_json(content, rng)
    content = bytearray(content)
    at = rng.randrange(len(content))
    kind = rng.randrange(5)
    if kind == 0:
        del content[at:]
    elif kind == 1:
        for _ in range(1 + rng.randrange(3)):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    elif kind == 2:
        content[at:at + 16] = bytes([rng.choice((0, 255))] * 16)
    elif kind == 3:
        content[at:at] = rng.randbytes(8)
    else:
        del content[at:at + 1 + rng.randrange(32)]
    return bytes(content)


def damage_json(content, rng):
    """Give one value of a JSON text, or of one of its lines, another type."""
    lines = content.decode().splitlines()
    try:
        parts, number = [json.loads(content)], 0
    except ValueError:
        number = rng.randrange(len(lines))
        parts = [line if i != number else json.loads(line)
                 for i, line in enumerate(lines)]
    places = list(nodes(parts[number]))
    owner, key = rng.choice(places)
    if rng.random() < .3:
        del owner[key]
    else:
        owner[key] = rng.choice(
            [None, True, -1, 2**70, 1e400, 'x', '../../x', [], {}, [[]]])
    return '\n'.join(part if isinstance(part, str) else json.dumps(part)
                     for part in parts).encode()


def nodes(value):
    """Yield owner and key of every value in a JSON value."""
    items = value.items() if isinstance(value, dict) else (
        enumerate(value) if isinstance(value, list) else ())
    for key, child in items:
        yield value, key
        yield from nodes(child)


def png(path, values):
    assert cv2.imwrite(str(path), values)


def palette(path):
    image = Image.fromarray(IDS.astype(np.uint8), 'P')
    image.putpalette(list(range(48)))
    image.save(path)


def image_rows():
    return ImageRows(*(make_bank(count=5).tensors()[name]
                       for name in ImageRows._fields))


def text_bank(path):
    bank = TextBank(classes=['cat', 'dog'], templates='none')
    bank.ensure(lambda texts: torch.eye(4)[:len(texts)])
    bank.save(path)


def instances(path):
    count = 6
    write_instances(StoredInstances(
        InstanceRows(
            torch.eye(count), torch.eye(count), torch.zeros(count).long(),
            torch.arange(count) // 3, torch.arange(1, count + 1),
            torch.tensor([0, 0, 4, 4]).repeat(count, 1),
            torch.full((count, ), 16), torch.ones(count, 2) / 2),
        dict(classes=['thing', 'stuff'], images=['a.png', 'b.png'],
             rules={}, split='test', fingerprint='a', checkpoint='b',
             embed_dims=count)), path)


def clip(path):
    require_open_clip()
    state = openai_state(random_clip())
    if path.suffix == '.pt':
        torch.jit.script(Archive(state)).save(str(path))
    else:
        torch.save(state, path)


def checkpoint(path):
    torch.save(dict(
        state_dict={'backbone.w': torch.ones(3)},
        meta=dict(cfg='model = dict(type="A")\n', iter=3)), path)


def matrix(path):
    np.save(path, np.eye(3, dtype=np.float32))
    path.with_suffix('.txt').write_text('cat\ndog\nbird\n')


def groups(path):
    open_group_folder(path.parent, dict(grid=3))


def panoptic(path):
    for part in ('img', 'seg'):
        (path.parent / part).mkdir()
    path.write_text(json.dumps(dict(
        images=[dict(id=i, file_name=f'{i}.jpg', height=6, width=8)
                for i in range(3)],
        annotations=[dict(image_id=i, file_name=f'{i}.png', segments_info=[
            dict(id=1, category_id=7, iscrowd=0)]) for i in range(3)],
        categories=[dict(id=7, name='cat', isthing=1)])))


def nuclei(path):
    (path.parent / 'img').mkdir()
    path.write_text(json.dumps(dict(
        images=[dict(id=i, file_name=f'{i}.jpg', height=6, width=8)
                for i in range(3)],
        annotations=[dict(
            id=i, image_id=i, category_id=1, bbox=[0, 0, 3, 3], area=9,
            iscrowd=0, segmentation=[[0, 0, 3, 0, 3, 3]]) for i in range(3)],
        categories=[dict(id=1, name='nucleus')])))


def dataset(kind, path, **options):
    """Build a data set of mmdet, and read one item of its list."""
    register_all_modules()
    DATASETS.build(dict(
        type=f'mmpixsort.{kind}', data_root=str(path.parent),
        ann_file=path.name, pipeline=[], _scope_='mmdet', **options))


def result(path):
    Results(path.parent).write(dict(
        arm='x', seed=0, config_hash='a',
        tests=dict(test=dict(hash='b', scores=dict(mIoU=50.)))))


def table(path):
    sign = '\t' if path.suffix == '.tsv' else ','
    rows = [f'{c["img_path"]}{sign}{c["caption"]}{sign}cat;dog'
            for c in CAPTIONS]
    path.write_text('\n'.join([f'img_path{sign}caption{sign}nouns', *rows]))


def coco(path):
    path.write_text(json.dumps(dict(
        images=[dict(id=i, file_name=f'{i}.jpg') for i in range(3)],
        annotations=[dict(id=9 - i, image_id=i, caption='A cat')
                     for i in range(3)])))


READERS = {
    'bank.bank': (lambda p: write_bank(make_bank(), p), read_bank),
    'bank.npz': (lambda p: write_bank(make_bank(), p), read_bank),
    'instances.bank': (instances, read_instances),
    'words.npz': (text_bank, read_text_bank),
    'words.npy': (matrix, lambda p: import_matrix(
        p, p.with_suffix('.txt'))),
    'words.txt': (lambda p: p.write_text('cat\ndog: puppy, hound\n'),
                  read_vocabulary),
    'lexicon.txt': (lambda p: p.write_text('cat\ndog: puppy, hound\n'),
                    read_lexicon),
    'captions.jsonl': (lambda p: p.write_text('\n'.join(
        json.dumps(c) for c in CAPTIONS)), lambda p: list(read_captions(p))),
    'captions.csv': (table, lambda p: list(read_captions(p))),
    'captions.tsv': (table, lambda p: list(read_captions(p))),
    'captions.json': (coco, lambda p: list(read_captions(p))),
    'regions.png': (lambda p: write_segments(p, IDS), read_segments),
    'groups.png': (lambda p: write_groups(p, IDS, 300), read_groups),
    SETTINGS: (groups, lambda p: read_group_settings(p.parent)),
    OWNERS: (lambda p: claim_maps(p.parent, {p.parent / 'a.png': 'a.jpg'}),
             lambda p: read_owners(p.parent)),
    'ids.png': (lambda p: png(p, IDS.astype(np.uint16)), read_instance_map),
    'ids.tif': (lambda p: png(p, IDS.astype(np.uint16)), read_instance_map),
    'palette.png': (palette, read_instance_map),
    'part_00000000.npz': (
        lambda p: write_part(p.parent, range(2), [image_rows(), image_rows()]),
        lambda p: list(read_parts(p.parent, 2))),
    'panoptic.png': (lambda p: png(p, id_to_rgb(IDS)), read_panoptic_map),
    'mask.png': (lambda p: png(p, np.ones((6, 8), np.uint8)),
                 lambda p: read_mask(p, (6, 8))),
    'clip.pt': (clip, read_clip),
    'clip.pth': (clip, read_clip),
    'run.pth': (checkpoint, lambda p: publish_checkpoint(
        p, p.parent / 'out' / 'x.pth')),
    'pan.json': (panoptic, lambda p: dataset(
        'PanopticDataset', p, data_prefix=dict(img='img', seg='seg'),
        metainfo=dict(classes=['cat'], palette=[[1, 2, 3]], isthing=[True],
                      thing_classes=['cat'], stuff_classes=[]))),
    'coco.json': (nuclei, lambda p: dataset(
        'DSB2018Dataset', p, data_prefix=dict(img='img'))),
    'x_seed0.json': (result, lambda p: Results(p.parent).read('x', 0)),
}


@pytest.mark.parametrize('name', READERS)
def test_reader__names_a_damaged_file(name, tmp_path):
    write, read = READERS[name]
    path = tmp_path / name
    (tmp_path / 'out').mkdir()
    write(path)
    read(path)
    whole = path.read_bytes()
    failed = []
    for seed in range(SEEDS):
        content = damage(whole, seed, path.suffix in ('.json', '.jsonl'))
        path.write_bytes(content)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')
                read(path)
        except (ValueError, FileNotFoundError) as error:
            if name not in str(error) or 'weights_only=False' in str(error):
                failed.append((seed, repr(error)[:200]))
        except Exception as error:  # a raw traceback
            failed.append((seed, repr(error)[:200]))
    assert not failed, f'{len(failed)}: {failed[:4]}'
