"""Banks of instances: rows, resumption, files, and what does not fit."""
import numpy as np
import pytest
import tiny_bank
import tiny_instances as tiny
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from scipy.ndimage import distance_transform_edt
from torch.nn.functional import interpolate, normalize

from mmpixsort.apis import instance_bank as module
from mmpixsort.apis.instance_bank import (InstanceRules, annotated_scene,
                                          build_instance_bank, context_classes,
                                          describe_image)
from mmpixsort.apis.loading import load_detector
from mmpixsort.retrieval.instances import (StoredInstances, check_instances,
                                           read_instances, write_instances)
from mmpixsort.metrics.context_consistency import score_context
from mmpixsort.retrieval.images import annotated_images
from mmpixsort.utils.files import only_builder

RULES = dict(min_area=20, rho=.7)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp('instances')
    cfg = tiny_bank.save_run(folder)
    stored = build_instance_bank(
        cfg, folder / 'weights.pth', folder / 'x.bank', **RULES)
    return folder, cfg, stored


def loop(model, data, *, min_area, rho, feature):
    """Describe instances one by one in numpy and float64."""
    batch = model.data_preprocessor(pseudo_collate([data]), False)
    with torch.no_grad():
        levels = model.extract_feat(batch['inputs'])
        logits, embeddings = model.head.embed(levels)
        feats = model.head.convs(torch.cat([levels[0], interpolate(
            levels[1], levels[0].shape[2:], mode='bilinear')], 1))
    height, width = tiny_bank.SIZE
    size = tuple(batch['inputs'].shape[2:])
    assert size == (64, 96)

    def whole(maps):
        return interpolate(maps, size, mode='bilinear')[
            0, :, :height, :width].double()

    maps = normalize(whole(embeddings), dim=0).numpy()
    plain = whole(logits if feature == 'logits' else feats).numpy()
    sample = data['data_samples']
    ids = sample.gt_instance_map.data[0].numpy()
    semantic = sample.gt_sem_seg.sem_seg[0].numpy()
    rows = []
    for number in range(1, ids.max() + 1):
        mask = ids == number
        if mask.sum() < min_area:
            continue
        ring = distance_transform_edt(~mask)**2 <= rho**2 * mask.sum()
        around = semantic[ring & ~mask]
        counts = np.bincount(around[around < 11], minlength=11)
        y, x = np.nonzero(mask)
        means = [part[:, mask].mean(1) for part in (maps, plain)]
        rows.append((
            *(m / np.linalg.norm(m) for m in means),
            int(sample.gt_instances.labels[number - 1]), number,
            [x.min(), y.min(), x.max() + 1, y.max() + 1], mask.sum(),
            counts / max(1, counts.sum())))
    return rows


@pytest.mark.parametrize('feature', ['logits', 'classifier'])
def test_build_instance_bank__equals_a_loop(run, tmp_path, feature):
    folder, cfg, stored = run
    if feature != 'logits':
        stored = build_instance_bank(
            cfg, folder / 'weights.pth', tmp_path / 'y.bank',
            feature=feature, **RULES)
    model = load_detector(cfg, folder / 'weights.pth', 'cpu')
    dataset = annotated_images(cfg)
    expected, image_ids = [], []
    for i in range(len(dataset)):
        rows = loop(model, dataset[i], feature=feature, **RULES)
        expected += rows
        image_ids += [i] * len(rows)
    assert len(expected) == len(stored) > 50
    assert stored.rows.image_ids.tolist() == image_ids
    names = ('embeddings', 'baseline', 'classes', 'numbers', 'boxes',
             'areas', 'histograms')
    for name, column in zip(names, zip(*expected)):
        got = getattr(stored.rows, name).double().numpy()
        np.testing.assert_allclose(got, np.array(column), atol=2e-5,
                                   err_msg=name)


def test_build_instance_bank__meta_and_file(run):
    folder, _, stored = run
    read = read_instances(folder / 'x.bank')
    assert read.meta == stored.meta
    assert all(a.equal(b) for a, b in zip(read.rows, stored.rows))
    assert len(read.meta['images']) == tiny_bank.IMAGES
    assert len(read.meta['checkpoint']) == 64
    assert len(read.meta['classes']) == 11
    assert read.meta['classes'][0] == 'pole'
    assert read.meta['embed_dims'] == 8
    assert read.meta['rules'] == dict(
        annotated=True, min_area=20, rho=.7, feature='logits')
    assert not (folder / 'x.bank.parts').exists()
    scores = score_context(read.bank(), num_neighbors=3)
    assert 0 < scores.retrieved < 1 and scores.num_queries > 40


def test_build_instance_bank__goes_on_where_it_was_cut_off(
        run, tmp_path, monkeypatch):
    folder, cfg, _ = run
    out, calls, real = tmp_path / 'y.bank', [], module.save_tensors

    def cut_off(*args):
        if calls:
            raise KeyboardInterrupt
        calls.append(args)
        real(*args)

    monkeypatch.setattr(module, 'save_tensors', cut_off)
    with pytest.raises(KeyboardInterrupt):
        build_instance_bank(cfg, folder / 'weights.pth', out, **RULES)
    assert not out.exists()
    with pytest.raises(ValueError, match='parts of a bank with other'):
        build_instance_bank(cfg, folder / 'weights.pth', out, min_area=21)
    described = []
    monkeypatch.setattr(module, 'save_tensors', real)
    monkeypatch.setattr(
        module, 'describe_image',
        lambda *args: described.append(args[-1]) or describe_image(*args))
    build_instance_bank(cfg, folder / 'weights.pth', out, **RULES)
    assert described == [16, 17, 18, 19]  # the second part only
    assert out.read_bytes() == (folder / 'x.bank').read_bytes()


def test_build_instance_bank__one_process_at_a_time(run, tmp_path):
    folder, cfg, _ = run
    with only_builder(tmp_path / 'y.bank'):
        with pytest.raises(ValueError, match='written by another process'):
            build_instance_bank(
                cfg, folder / 'weights.pth', tmp_path / 'y.bank')


def test_build_instance_bank__predicted(run, tmp_path):
    folder, cfg, _ = run
    stored = build_instance_bank(
        cfg, folder / 'weights.pth', tmp_path / 'p.bank', split='val',
        annotated=False, min_area=4)
    assert not stored.meta['rules']['annotated']
    model = load_detector(cfg, folder / 'weights.pth', 'cpu')
    data = annotated_images(cfg, split='val')[0]
    sample, = model.test_step(dict(
        inputs=[data['inputs']], data_samples=[data['data_samples']]))
    own = stored.rows.pick(stored.rows.image_ids == 0)
    masks = sample.pred_instances.masks[own.numbers - 1]
    assert len(own.areas) and own.areas.equal(masks.sum((1, 2)))
    assert own.classes.equal(sample.pred_instances.labels[own.numbers - 1])


@pytest.mark.parametrize('head', [
    dict(num_classes=1), dict(num_classes=1, embed_dims=3)])
def test_describe_image__background_is_a_class(head):
    """Of a head without stuff, whose embeddings are of any length."""
    model = tiny.build(head).eval()
    image, sample = tiny.item(blobs=3)
    sample.gt_instances.labels[:] = 0
    data = dict(inputs=image, data_samples=sample)
    rows, ids = describe_image(model, data, InstanceRules(min_area=1))
    assert ids.max() == len(rows.classes) > 0
    assert rows.histograms.shape == (len(rows.classes), 2)
    torch.testing.assert_close(
        rows.histograms.sum(1), torch.ones(len(rows.classes)))
    assert (rows.histograms[:, 1] > .4).all()  # background
    assert (rows.embeddings.norm(dim=1) - 1).abs().max() > .1
    assert context_classes(model, ('leaf', )) == ['leaf', 'background']
    maps = model.extract_embedding(
        model.data_preprocessor(pseudo_collate([data]), False)['inputs'])
    mean = interpolate(maps, (32, 32), mode='bilinear')[
        0, :, ids == 1].mean(1)
    torch.testing.assert_close(rows.embeddings[0], mean)
    found, _ = describe_image(
        model, data, InstanceRules(annotated=False, min_area=1))
    assert found.histograms.shape[1] == 2


@pytest.mark.parametrize('feature, dims', [('logits', 4), ('classifier', 6)])
def test_describe_image__behind_a_decode_head(feature, dims):
    decoder = dict(
        _scope_='mmseg', type='FCNHead', in_channels=16, in_index=1,
        channels=6, num_convs=1, concat_input=False, num_classes=4,
        norm_cfg=dict(type='BN'))
    model = tiny.build_config(tiny.panoptic(
        dict(trunk=dict(decoder=decoder), in_channels=6))).eval()
    image, sample = tiny.item()
    tiny.with_stuff([sample])
    rows, _ = describe_image(
        model, dict(inputs=image, data_samples=sample),
        InstanceRules(feature=feature))
    assert rows.baseline.shape == (len(rows.classes), dims)
    assert rows.embeddings.shape == (len(rows.classes), 8)
    assert context_classes(model, 'abcd') == [*'abcd']


def test_describe_image__no_instance():
    model = tiny.build().eval()
    image, sample = tiny.item(blobs=0)
    rows, ids = describe_image(
        model, dict(inputs=image, data_samples=sample), InstanceRules())
    assert rows.embeddings.shape == (0, 4) and rows.boxes.shape == (0, 4)
    assert rows.boxes.dtype == torch.int64 and ids.max() < 1


def test_load_detector__refuses_what_does_not_fit(run, tmp_path):
    folder, cfg, _ = run
    torch.save(dict(state_dict={}), tmp_path / 'empty.pth')
    with pytest.raises(ValueError, match='weights `head.conv_embed'):
        load_detector(cfg, tmp_path / 'empty.pth')
    other = Config(dict(default_scope='mmdet', model=dict(
        type='mmdet.FCOS', backbone=dict(type='mmdet.ResNet', depth=18),
        neck=dict(type='mmdet.FPN', in_channels=[64, 128, 256, 512],
                  out_channels=8, num_outs=5),
        bbox_head=dict(type='mmdet.FCOSHead', num_classes=1, in_channels=8))))
    with pytest.raises(ValueError, match='got FCOS'):
        load_detector(other, folder / 'weights.pth')


@pytest.mark.parametrize('options, error', [
    (dict(min_area=0), '`min_area` must be'), (dict(rho=0.), '`rho` must be'),
    (dict(feature='neck'), '`feature` must be one of'),
    (dict(min_area=10**6), 'at least one instance')])
def test_build_instance_bank__bad_options(run, tmp_path, options, error):
    folder, cfg, _ = run
    with pytest.raises(ValueError, match=error):
        build_instance_bank(
            cfg, folder / 'weights.pth', tmp_path / 'x.bank', **options)


def test_annotated_scene__missing_or_of_another_size():
    _, sample = tiny.item()
    sample.set_metainfo(dict(ori_shape=(16, 16)))
    with pytest.raises(ValueError, match='load annotations after Resize'):
        annotated_scene(sample, 3)
    del sample.gt_instance_map
    with pytest.raises(ValueError, match='PaintInstanceMap'):
        annotated_scene(sample, 3)


def test_context_classes__of_other_data(run):
    folder, cfg, _ = run
    model = load_detector(cfg, folder / 'weights.pth', 'cpu')
    with pytest.raises(ValueError, match='11 classes of the network, got 2'):
        context_classes(model, ('a', 'b'))


def test_read_instances__names_what_is_wrong(run, tmp_path):
    folder, _, stored = run
    with pytest.raises(FileNotFoundError, match='not found'):
        read_instances(tmp_path / 'x.bank')
    content = bytearray((folder / 'x.bank').read_bytes())
    content[-1] ^= 1
    (tmp_path / 'changed.bank').write_bytes(content)
    with pytest.raises(ValueError, match='changed after it was written'):
        read_instances(tmp_path / 'changed.bank')
    (tmp_path / 'cut.bank').write_bytes(content[:-9])
    with pytest.raises(ValueError, match='it is truncated'):
        read_instances(tmp_path / 'cut.bank')
    broken = stored.rows._replace(
        embeddings=stored.rows.embeddings.clone().fill_(np.nan))
    with pytest.raises(ValueError, match='must be finite; row 0'):
        write_instances(StoredInstances(broken, stored.meta),
                        tmp_path / 'nan.bank')
    with pytest.raises(ValueError, match=r'`classes` must lie in \[0, 11\)'):
        check_instances(StoredInstances(stored.rows._replace(
            classes=stored.rows.classes + 11), stored.meta))
    with pytest.raises(ValueError, match='`areas` must be torch.int64'):
        check_instances(StoredInstances(stored.rows._replace(
            areas=stored.rows.areas.float()), stored.meta))


def test_read_instances__a_bank_of_prototypes(tmp_path):
    from retrieval.test_bank_file import make_bank

    from mmpixsort.retrieval import write_bank
    write_bank(make_bank(), tmp_path / 'x.bank')
    with pytest.raises(ValueError, match='must be a bank of instances'):
        read_instances(tmp_path / 'x.bank')
