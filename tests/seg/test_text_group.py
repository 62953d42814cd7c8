import copy
import warnings

import pytest
import tiny_text
import torch
from mmengine.structures import PixelData

from mmpixsort.seg.heads.text_group_head import CaptionTargets, index_captions
from mmpixsort.seg.segmentors.text_group_segmentor import region_areas
from mmpixsort.structures import ImageEmbeddings
from mmpixsort.utils import transfer

SLIDE = dict(mode='slide', crop_size=(16, 16), stride=(8, 8))


def logits_of(model, pictures):
    return [result.seg_logits.data
            for result in model.predict(*tiny_text.batch(model, pictures))]


def test_predict__fields():
    model = tiny_text.build()
    result, = model.predict(
        *tiny_text.batch(model, tiny_text.images((20, 24))))
    assert result.seg_logits.data.shape == (4, 20, 24)
    assert result.pred_sem_seg.data.shape == (1, 20, 24)
    groups = result.pred_groups.data
    assert groups.shape == (1, 20, 24) and set(
        groups.unique().tolist()) <= set(range(9))
    total = result.seg_logits.data.exp().sum(0)
    assert torch.allclose(total, torch.ones_like(total))


def test_predict__all_pixels_of_a_group_have_one_word():
    model = tiny_text.build()
    result, = model.predict(
        *tiny_text.batch(model, tiny_text.images((20, 24))))
    for group in result.pred_groups.data.unique():
        inside = result.pred_groups.data == group
        assert len(result.pred_sem_seg.data[inside].unique()) == 1


def test_predict__slide_with_one_window_is_whole():
    pictures = tiny_text.images((16, 16), (16, 16))
    whole = logits_of(tiny_text.build(), pictures)
    slide = logits_of(tiny_text.build(test_cfg=SLIDE), pictures)
    for first, second in zip(whole, slide):
        assert torch.allclose(first, second, atol=1e-5)


@pytest.mark.parametrize('test_cfg', [dict(mode='whole'), SLIDE])
def test_predict__a_batch_equals_its_images(test_cfg):
    model = tiny_text.build(test_cfg=test_cfg)
    pictures = tiny_text.images((20, 24), (20, 24), (20, 24))
    for picture, found in zip(pictures, logits_of(model, pictures)):
        alone, = logits_of(model, [picture])
        assert torch.allclose(found, alone, atol=1e-5)


@pytest.mark.parametrize('test_cfg', [dict(mode='whole'), SLIDE])
def test_predict__padding_changes_nothing(test_cfg):
    model = tiny_text.build(test_cfg=test_cfg)
    pictures = tiny_text.images((16, 24), (20, 20), (24, 18))
    # the host stacks images of several sizes in training only
    stacked = model.predict(
        *tiny_text.batch(model, pictures, training=True))
    for picture, result in zip(pictures, stacked):
        found = result.seg_logits.data
        alone, = logits_of(model, [picture])
        assert found.shape[1:] == picture.shape[1:]
        assert torch.allclose(found, alone, atol=1e-5)


def test_predict__slide_averages_regions_by_area():
    model = tiny_text.build(test_cfg=SLIDE)
    inputs, _ = tiny_text.batch(model, tiny_text.images((16, 24)))
    ids = torch.zeros(1, 16, 24, dtype=torch.long)
    ids[..., 20:] = 1
    found = model.encode_regions(inputs, ids)
    parts = [model.backbone.encode_image(inputs[..., x:x + 16],
                                         ids[..., x:x + 16], 9)
             for x in (0, 8)]
    first = 256 * parts[0].regions[0, 0] + 192 * parts[1].regions[0, 0]
    assert torch.allclose(found.regions[0, 0], first / first.norm())
    assert torch.allclose(found.regions[0, 1], parts[1].regions[0, 1])
    assert found.valid[0].tolist() == [True, True] + [False] * 7


def test_predict__group_per_window_is_the_slide_of_the_host():
    test_cfg = dict(SLIDE, group_per_window=True)
    model = tiny_text.build(test_cfg=test_cfg)
    pictures = tiny_text.images((16, 24))
    model.decode_head.bank.ensure(model.backbone.encode_text)
    inputs, _ = tiny_text.batch(model, pictures)
    windows = [model.encode_decode(inputs[..., x:x + 16], [{}])
               for x in (0, 8)]
    found, = logits_of(model, pictures)
    middle = (windows[0][..., 8:] + windows[1][..., :8]) / 2
    assert torch.allclose(found[..., 8:16], middle[0], atol=1e-5)


@pytest.mark.parametrize('direction, dims', [
    ('horizontal', (2, )), ('vertical', (1, )), ('diagonal', (1, 2))])
def test_predict__flipped_view_is_flipped_back(direction, dims):
    model = tiny_text.build()
    picture, = tiny_text.images((16, 20))
    flipped = tiny_text.sample(picture)
    flipped.set_metainfo(dict(flip=True, flip_direction=direction))
    result, = model.predict(*tiny_text.batch(
        model, [picture.flip(dims)], [flipped]))
    plain, = model.predict(*tiny_text.batch(model, [picture.flip(dims)]))
    assert torch.equal(
        result.seg_logits.data, plain.seg_logits.data.flip(dims))
    assert torch.equal(
        result.pred_groups.data, plain.pred_groups.data.flip(dims))
    flipped.set_metainfo(dict(flip_direction='sideways'))
    with pytest.raises(ValueError, match='`flip_direction` must be one of'):
        model.predict(*tiny_text.batch(model, [picture], [flipped]))


def test_predict__unknown_mode():
    model = tiny_text.build()
    model.test_cfg.mode = 'slides'
    with pytest.raises(ValueError, match='`test_cfg.mode` must be one of'):
        model.predict(*tiny_text.batch(model, tiny_text.images((16, 20))))


def test_predict__background_grows_with_its_threshold():
    model = tiny_text.build()
    pictures = tiny_text.images((24, 24), (24, 24))
    shares = []
    for threshold in (-1., -.2, 0., .2, 1.):
        model.decode_head.threshold = threshold
        shares.append(sum(
            (logits.argmax(0) == 0).sum() for logits in
            logits_of(model, pictures)).item())
    assert shares == sorted(shares)
    assert shares[0] == 0 and shares[-1] == 2 * 24 * 24


def test_set_vocabulary__there_and_back():
    model = tiny_text.build()
    pictures = tiny_text.images((16, 16))
    before, = logits_of(model, pictures)
    model.set_vocabulary(['cat', 'dog', 'ring', 'disk'])
    assert model.num_classes == model.out_channels == 5
    assert model.dataset_meta['classes'][0] == 'background'
    other, = logits_of(model, pictures)
    assert other.shape[0] == 5
    model.set_vocabulary(tiny_text.NOUNS)
    after, = logits_of(model, pictures)
    assert torch.equal(before, after)


def test_set_vocabulary__one_word():
    model = tiny_text.build()
    model.set_vocabulary(['cat'])
    found, = logits_of(model, tiny_text.images((16, 16)))
    assert found.shape[0] == 2
    model = tiny_text.build(head=dict(background=None))
    model.set_vocabulary(['cat'])
    with pytest.raises(ValueError, match='background'):
        logits_of(model, tiny_text.images((16, 16)))


def test_set_vocabulary__of_a_file_needs_no_text_tower(tmp_path):
    model = tiny_text.build()
    pictures = tiny_text.images((16, 16))
    before, = logits_of(model, pictures)
    model.decode_head.bank.save(tmp_path / 'words.npz')
    model = tiny_text.build(head=dict(bank=dict(
        type='mmpixsort.TextBank', file=str(tmp_path / 'words.npz'))))
    del model.backbone.text
    with pytest.warns(UserWarning, match='has no text tower'):
        assert torch.equal(logits_of(model, pictures)[0], before)
    model.set_vocabulary(['ring', 'disk'])
    assert logits_of(model, pictures)[0].shape[0] == 3
    with pytest.raises(ValueError, match="'cat'"):
        model.set_vocabulary(['cat'])


def prompts_of(model, words):
    """Return the texts that a training step encodes for nouns."""
    texts, rows = [], torch.ones(1, 8) / 8**.5

    def encode(given):
        texts.extend(given)
        return rows.expand(len(given), -1)

    model.decode_head.loss(
        ImageEmbeddings(rows, rows[None], torch.ones(1, 1).bool()), encode,
        scale=torch.tensor(1.), captions=[CaptionTargets('', words, words)])
    return texts


def test_train_templates__are_checked_and_take_any_word():
    with pytest.raises(ValueError, match='and no other braces'):
        tiny_text.build(head=dict(train_templates=['a {size} {}']))
    model = tiny_text.build(head=dict(train_templates=['the {}, afar']))
    assert prompts_of(model, ['dog', '{0} }']) == [
        'the dog, afar', 'the {0} }, afar']


@pytest.mark.parametrize('known', [True, False])
def test_predict__bank_of_another_tower_is_not_used_silently(tmp_path, known):
    torch.manual_seed(3)
    model = tiny_text.build()
    logits_of(model, tiny_text.images((16, 16)))
    bank = model.decode_head.bank
    bank.fingerprint = bank.fingerprint if known else ''
    bank.save(tmp_path / 'words.npz')
    config = dict(bank=dict(
        type='mmpixsort.TextBank', file=str(tmp_path / 'words.npz')))
    other = tiny_text.build(head=config)
    for parameter in other.backbone.text.parameters():
        parameter.data = torch.randn(parameter.shape)
    if known:
        with pytest.raises(ValueError, match='those of the text tower'):
            logits_of(other, tiny_text.images((16, 16)))
    else:
        with pytest.warns(UserWarning, match='those of the text tower'):
            logits_of(other, tiny_text.images((16, 16)))
    other.load_state_dict(model.state_dict())
    with warnings.catch_warnings():
        warnings.filterwarnings('error', message='the embeddings of the text')
        logits_of(other, tiny_text.images((16, 16)))


def test_set_vocabulary__aliases_and_unknown_words():
    model = tiny_text.build()
    model.set_vocabulary(['pet'], dict(pet=['cat', 'dog']))
    assert model.decode_head.classes == ['background', 'pet']
    with pytest.raises(ValueError, match="'zebra'"):
        model.set_vocabulary(['zebra'])
    assert model.decode_head.classes == ['background', 'pet']


def test_precomputed_groups__are_named():
    model = tiny_text.build(head=dict(grouper=None, num_regions=4))
    picture, = tiny_text.images((16, 16))
    ids = torch.zeros(1, 16, 16, dtype=torch.long)
    ids[..., 8:] = 3
    result, = model.predict(*tiny_text.batch(
        model, [picture],
        [tiny_text.sample(picture, gt_groups=PixelData(data=ids))]))
    assert torch.equal(result.pred_groups.data, ids)
    with pytest.raises(ValueError, match='gt_groups'):
        model.predict(*tiny_text.batch(model, [picture]))
    with pytest.raises(ValueError, match='data_samples'):
        model(tiny_text.batch(model, [picture])[0], mode='tensor')


def test_a_region_without_a_cell_is_named_as_the_image():
    model = tiny_text.build(
        head=dict(grouper=None, num_regions=2, background=None))
    picture, = tiny_text.images((16, 16))
    ids = torch.zeros(1, 16, 16, dtype=torch.long)
    ids[0, 3, 3] = 1  # gone at half the resolution
    inputs, samples = tiny_text.batch(
        model, [picture],
        [tiny_text.sample(picture, gt_groups=PixelData(data=ids))])
    result, = model.predict(inputs, samples)
    image = model.backbone.encode_image(inputs).image
    expected = (model.backbone.logit_scale
                * model.decode_head.bank(image)).log_softmax(1)[0]
    assert torch.allclose(
        result.seg_logits.data[:, 3, 3], expected, atol=1e-4)


def test_loss__falls_and_trains_both_towers():
    model = tiny_text.build().train()
    inputs, samples = tiny_text.captioned(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    totals = []
    for _ in range(12):
        losses = model(inputs, samples, mode='loss')
        total, _ = model.parse_losses(losses)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < .8 * totals[0]
    assert {'loss_n2r', 'loss_sentence', 'acc_n2r'} <= set(losses)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name


def test_loss__without_any_caption_is_a_zero_with_a_gradient():
    model = tiny_text.build().train()
    inputs, samples = tiny_text.captioned(model, ('', ''))
    total, _ = model.parse_losses(model(inputs, samples, mode='loss'))
    total.backward()
    assert total.item() == 0


@pytest.mark.parametrize('noun_loss, sentence_loss, keys', [
    (None, dict(type='mmpixsort.ImageSentenceLoss'), {'loss_sentence'}),
    (dict(type='mmpixsort.NounRegionLoss', mask_same_noun=True,
          positives='max', warmup_iters=3), None,
     {'loss_n2r', 'acc_n2r', 'no_negatives'}),
])
def test_loss__either_alone(noun_loss, sentence_loss, keys):
    model = tiny_text.build(head=dict(
        noun_loss=noun_loss, sentence_loss=sentence_loss)).train()
    losses = model(*tiny_text.captioned(model), mode='loss')
    assert set(losses) == keys


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_loss__under_autocast(dtype):
    model = tiny_text.build().train()
    inputs, samples = tiny_text.captioned(model)
    with torch.autocast('cpu', dtype):
        losses = model(inputs, samples, mode='loss')
    for name in ('loss_n2r', 'loss_sentence'):
        assert losses[name].dtype == torch.float32
        assert losses[name].isfinite()


def test_training__makes_the_words_anew():
    model = tiny_text.build()
    pictures = tiny_text.images((16, 16))
    before, = logits_of(model, pictures)
    model.train()
    with torch.no_grad():
        model.backbone.text.linear.weight.mul_(-1.)
    model.eval()
    after, = logits_of(model, pictures)
    assert not torch.equal(before, after)
    loaded = tiny_text.build()
    logits_of(loaded, pictures)
    loaded.load_state_dict(model.state_dict())
    assert torch.equal(logits_of(loaded, pictures)[0], after)


def test_model__copies():
    model = tiny_text.build()
    pictures = tiny_text.images((16, 16))
    before, = logits_of(model, pictures)
    assert torch.equal(logits_of(copy.deepcopy(model), pictures)[0], before)


def test_train_templates__are_drawn_by_seed():
    model = tiny_text.build(
        head=dict(train_templates=['a {}', 'the {}', 'one {}']))
    words = [f'w{i}' for i in range(50)]
    again = copy.deepcopy(model)
    first, second = prompts_of(model, words), prompts_of(model, words)
    assert first == prompts_of(again, words)
    assert first != second  # of the next iteration
    assert {text.split()[0] for text in first} == {'a', 'the', 'one'}
    assert sorted(text.split()[1] for text in first) == sorted(words)


def test_index_captions__one_copy_to_the_device(monkeypatch):
    copies = []
    monkeypatch.setattr(
        transfer, 'send', lambda values, device: copies.append(device)
        or values.to(device))
    found = index_captions(
        [CaptionTargets('a', ['ring'], ['ring', 'disk'])] * 2, 'meta')
    assert copies == ['meta']
    assert found.captions.shape == (2, 2) and found.captions.is_meta


def test_index_captions__hand_case():
    found = index_captions([
        CaptionTargets('b', [' ring', 'disk', 'ring'], ['ring', 'disk']),
        CaptionTargets('', [], []),
        CaptionTargets('a', ['ring'], ['ring', 'square'])], 'cpu')
    assert found.sentences == ['a', 'b']
    assert found.sentence_rows.tolist() == [1, 2, 0]
    assert found.words == ['disk', 'ring']
    assert found.rows.tolist() == [1, 0, 1]
    assert found.images.tolist() == [0, 0, 2]
    assert found.ids[0] == found.ids[2] != found.ids[1]
    assert found.captions.shape == (3, 2)
    assert found.captions[0].tolist() == found.ids[:2].tolist()
    assert found.captions[1].tolist() == [-1, -1]
    assert (found.ids >= 0).all()


@pytest.mark.parametrize('head, message', [
    (dict(grouper=None), 'num_regions'),
    (dict(num_regions=4), 'num_regions'),
    (dict(background='sky'), 'background'),
    (dict(grouper=None, num_regions=0), 'num_regions'),
    (dict(train_templates='nonsense'), 'templates'),
])
def test_head__bad_input(head, message):
    with pytest.raises(ValueError, match=message):
        tiny_text.build(head=head)


def test_region_areas__counts():
    ids = torch.tensor([[[0, 2], [2, -1]]])
    assert region_areas(ids, 3).tolist() == [[1, 0, 2]]
