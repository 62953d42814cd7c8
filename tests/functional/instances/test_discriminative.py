"""`functional.discriminative_loss` against loops, fixtures, closed forms."""
import pytest
import torch
from dispatch import CallCounter
from hypothesis import given, settings
from hypothesis import strategies as st
from references import discriminative_loop

from mmpixsort.functional import discriminative_loss
from mmpixsort.functional.instances import hinge as instance_hinge
from mmpixsort.functional.instances.discriminative import discriminative_terms
from mmpixsort.functional.instances.slots import instance_slots

DEFAULTS = dict(
    delta_var=.5, delta_dist=1.5, background='ignore', ignore_index=-1,
    distance='l2', normalizer='paper', push_scope='image', class_ids=None,
    overlap='all', min_pixels=1, num_ids=None)


def fixture_f1():
    """Embeddings (1, 3, 4, 6) and labels (1, 4, 6) of fixture F1."""
    e, i, j = (
        torch.arange(float(n), dtype=torch.float64) for n in (3, 4, 6))
    e, i = e[:, None, None], i[:, None]
    maps = (1 + .5 * e) * torch.sin(.7 * (e + 1) * i + .3 * (e + 2) * j)
    rows = [[0, 0, 1, 1, 1, 2]] * 2 + [[0, 0, 0, 1, 2, 2]] * 2
    return maps[None], torch.tensor(rows)[None]


def random_case(seed, batch=3, dims=4, size=(5, 6), ids=4):
    g = torch.Generator().manual_seed(seed)
    maps = 2 * torch.randn(batch, dims, *size, generator=g).double()
    labels = torch.randint(-1, ids + 1, (batch, *size), generator=g)
    return maps, labels


def three(maps, ids, **options):
    """Pull, push and reg stacked, (3, B)."""
    return torch.stack(discriminative_loss(maps, ids, **options)[:3])


@pytest.mark.parametrize('distance, pull, push, reg, by_pixel', [
    ('l2', 1.68878632, 3.66554957, .67387048, 1.68046460),
    ('l1', 4.52927516, 2.29708202, 1.07483226, 4.51107873)])
def test_discriminative_loss__fixture_f1(distance, pull, push, reg,
                                         by_pixel):
    maps, ids = fixture_f1()
    options = dict(background='instance', distance=distance)
    got = three(maps, ids, **options)[:, 0].tolist()
    assert got == pytest.approx([pull, push, reg], abs=1e-8)
    mean = three(maps, ids, normalizer='pixel', **options)[0]
    assert mean.item() == pytest.approx(by_pixel, abs=1e-8)


def test_discriminative_loss__fixture_f1_gradient_and_controls():
    maps, ids = fixture_f1()
    maps.requires_grad_()
    pull, push, reg = three(maps, ids, background='instance')[:, 0]
    total = pull + push + .001 * reg
    assert total.item() == pytest.approx(5.35500976721109, abs=1e-12)
    grad, = torch.autograd.grad(total, maps)
    assert grad.norm().item() == pytest.approx(1.4233558730, abs=1e-9)
    assert grad[0, 0, 0, 0].item() == pytest.approx(-.1309307469, abs=1e-9)
    assert grad[0, 2, 3, 5].item() == pytest.approx(.0676765289, abs=1e-9)
    # two published slips: the pull with background counted in, a half push
    assert three(maps, ids)[0].item() == pytest.approx(1.76937446, abs=1e-8)
    pull, push, _ = three(maps, ids, background='instance',
                          normalizer='authors')[:, 0]
    assert (pull + push).item() == pytest.approx(10.56468332, abs=1e-7)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), p=st.sampled_from([1., 2.]),
       min_pixels=st.integers(1, 4), known=st.booleans(),
       chunk=st.sampled_from([7, 40, 1 << 18]))
def test_discriminative_loss__equals_loop(seed, p, min_pixels, known, chunk):
    maps, ids = random_case(seed)
    before = instance_hinge.CHUNK_ELEMENTS
    instance_hinge.CHUNK_ELEMENTS = chunk
    try:
        got = three(maps, ids, distance=f'l{int(p)}', min_pixels=min_pixels,
                    num_ids=5 if known else None)
    finally:
        instance_hinge.CHUNK_ELEMENTS = before
    for b in range(len(maps)):
        want = discriminative_loop(
            maps[b].flatten(1), ids[b].flatten(), p=p, min_pixels=min_pixels)
        assert got[:, b].tolist() == pytest.approx(want, abs=1e-10)


@pytest.mark.parametrize('options', [
    dict(), dict(distance='l1'), dict(normalizer='authors'),
    dict(normalizer='active'), dict(push_scope='batch'),
    dict(distance='cosine', delta_var=.1, delta_dist=.6),
    dict(normalizer='pixel', min_pixels=3)])
def test_discriminative_loss__gradcheck(options):
    maps, ids = random_case(0, batch=2, dims=3, size=(3, 4), ids=3)
    assert torch.autograd.gradcheck(
        lambda m: discriminative_loss(m, ids, **options)[:3],
        (maps.requires_grad_(), ))


@pytest.mark.parametrize('distance', ['l2', 'l1', 'cosine'])
def test_discriminative_loss__a_graph_that_is_retained(distance):
    maps, ids = random_case(1, batch=2, dims=3, size=(5, 7), ids=4)
    maps.requires_grad_()
    pull, push, reg, _ = discriminative_loss(maps, ids, distance=distance)
    first, second = (
        torch.autograd.grad((k * pull).sum(), maps, retain_graph=True)[0]
        for k in (1, 3))
    assert torch.allclose(second, 3 * first, rtol=1e-12)
    both = torch.autograd.grad((pull + push).sum(), maps)[0]
    assert not torch.allclose(both, first)
    with torch.no_grad():
        again = discriminative_loss(maps, ids, distance=distance)
    assert torch.equal(torch.stack(again[:3]), torch.stack((pull, push, reg)))


def test_discriminative_loss__gradients_are_the_closed_forms():
    maps, ids = random_case(1, batch=1, size=(4, 7))
    maps.requires_grad_()
    grads = [torch.autograd.grad(term.sum(), maps, retain_graph=True)[0][0]
             .flatten(1) for term in three(maps, ids)]
    points, labels = maps[0].detach().flatten(1), ids.flatten()
    present = [c for c in range(1, 5) if (labels == c).any()]
    means = {c: points[:, labels == c].mean(1) for c in present}
    num = len(present)
    for c in present:
        mine = labels == c
        count = mine.sum()
        offset = points[:, mine] - means[c][:, None]
        length = offset.norm(dim=0)
        slope = (length - .5).clamp(min=0) * offset / length
        pull = 2 / (num * count) * (slope - slope.mean(1, keepdim=True))
        assert torch.allclose(grads[0][:, mine], pull, atol=1e-10)
        push = torch.zeros(4).double()
        for b in present:
            gap = means[c] - means[b]
            if b != c:
                push -= 4 / (num * (num - 1) * count) * (
                    3 - gap.norm()).clamp(min=0) * gap / gap.norm()
        assert torch.allclose(grads[1][:, mine], push[:, None], atol=1e-10)
        reg = means[c] / (num * count * means[c].norm())
        assert torch.allclose(grads[2][:, mine], reg[:, None], atol=1e-10)
    assert (torch.stack(grads)[:, :, labels <= 0] == 0).all()


def test_discriminative_loss__invariances():
    maps, ids = random_case(2)
    want = three(maps, ids)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    shuffled = [t.flatten(-2)[..., order] for t in (maps, ids)]
    assert torch.allclose(three(*shuffled), want)  # and point lists
    names = torch.tensor([0, 10**12, 7, 123456, 3])
    renamed = torch.where(ids > 0, names[ids.clamp(min=0)], ids)
    assert torch.allclose(three(maps, renamed), want)
    moved = three(maps + torch.arange(4.)[:, None, None], ids)
    assert torch.allclose(moved[:2], want[:2])
    turn, _ = torch.linalg.qr(torch.randn(4, 4).double())
    turned = torch.einsum('ij,bjhw->bihw', turn, maps)
    assert torch.allclose(three(turned, ids), want)
    scaled = three(3 * maps, ids, delta_var=1.5, delta_dist=4.5)
    assert torch.allclose(scaled, want * torch.tensor([[9.], [9.], [3.]]))
    doubled = three(torch.cat([maps, maps], 3), torch.cat([ids, ids], 2))
    assert torch.allclose(doubled, want)
    assert torch.allclose(three(maps[:, :, None], ids[:, None]), want)
    alone = [three(maps[b:b + 1], ids[b:b + 1])[:, 0] for b in range(3)]
    assert torch.allclose(torch.stack(alone, 1), want)
    padded = torch.nn.functional.pad(maps, (0, 2), value=9.)
    assert torch.allclose(
        three(padded, torch.nn.functional.pad(ids, (0, 2), value=-1)), want)


@pytest.mark.parametrize('distance', ['l2', 'l1', 'cosine'])
def test_discriminative_loss__what_is_ignored_may_be_nan(distance):
    maps, ids = random_case(3)
    options = dict(distance=distance)
    want = three(maps, ids, **options)
    none = (ids <= 0)[:, None].expand_as(maps)
    maps = maps.masked_fill(none, torch.nan).requires_grad_()
    got = three(maps, ids, **options)
    assert torch.allclose(got, want)
    grad, = torch.autograd.grad(got.sum(), maps)
    assert (grad[none] == 0).all() or distance == 'cosine'
    assert grad[~none].isfinite().all()


def masks_of(ids, num):
    return ids[:, None] == torch.arange(1, num + 1)[:, None, None]


@pytest.mark.parametrize('options', [
    dict(), dict(distance='l1'), dict(normalizer='active'),
    dict(distance='cosine', delta_var=.1), dict(push_scope='batch'),
    dict(min_pixels=5), dict(overlap='nearest')])
def test_discriminative_loss__masks_equal_the_map(options):
    maps, ids = random_case(4)
    want = three(maps, ids, **{**options, 'overlap': 'all'})
    maps = maps.masked_fill((ids <= 0)[:, None], torch.nan)
    got = three(maps, masks_of(ids, 4), **options)
    assert torch.allclose(got, want)


def test_discriminative_loss__overlapping_masks():
    maps = torch.tensor([[[0., 2., 10.]]])
    masks = torch.tensor([[[1, 1, 0], [0, 1, 1], [0, 0, 0]]]).bool()
    options = dict(delta_dist=5.)
    pull, push, reg = three(maps, masks, **options)[:, 0].tolist()
    # means 1 and 6; hinges .5, .5 and 3.5, 3.5
    assert pull == pytest.approx((.25 + 12.25) / 2)
    assert push == pytest.approx((10 - 5)**2) and reg == pytest.approx(3.5)
    pull = three(maps, masks, overlap='nearest', **options)[0].item()
    assert pull == pytest.approx((.25 + 12.25 / 2) / 2)


def test_discriminative_loss__class_scope_is_the_mean_over_classes():
    maps, ids = random_case(5, batch=2, ids=6)
    table = torch.tensor([0, 3, 3, 5, 5, 5, 9])
    classes = table[ids.clamp(min=0)]
    want = []
    for b in range(2):
        found = [three(maps[b:b + 1], ids[b:b + 1].where(
            classes[b:b + 1] == c, torch.tensor(0)))[:, 0]
            for c in (3, 5, 9)]
        want.append(torch.stack(found).mean(0))
    got = three(maps, ids, push_scope='class', class_ids=classes)
    assert torch.allclose(got, torch.stack(want, 1))
    by_mask = three(maps, masks_of(ids, 6), push_scope='class',
                    class_ids=table[1:].expand(2, -1))
    assert torch.allclose(by_mask, got)


def test_discriminative_loss__batch_scope_is_one_image():
    maps, ids = random_case(6)
    joint = ids + 10 * torch.arange(3)[:, None, None] * (ids > 0)
    flat = [maps.transpose(0, 1).flatten(1)[None], joint.flatten()[None]]
    for normalizer in ('paper', 'authors', 'active'):
        options = dict(normalizer=normalizer)
        got = three(maps, ids, push_scope='batch', **options)[1].mean()
        assert torch.allclose(got, three(*flat, **options)[1])


def test_discriminative_loss__no_instance_and_one():
    maps, ids = random_case(7)
    ids[0] = 0
    ids[1] = 2
    maps.requires_grad_()
    *terms, valid = discriminative_loss(maps, ids)
    assert valid.tolist() == [False, True, True]
    assert torch.stack(terms)[:, 0].tolist() == [0., 0., 0.]
    assert terms[1][1] == 0
    grad, = torch.autograd.grad(sum(terms).sum(), maps)
    assert (grad[0] == 0).all() and grad.isfinite().all()
    nothing = discriminative_loss(maps, torch.zeros_like(ids))
    grad, = torch.autograd.grad(sum(nothing[:3]).sum(), maps)
    assert (grad == 0).all()


def test_discriminative_loss__means_that_coincide():
    maps = torch.zeros(1, 4, 2, 6).requires_grad_()
    ids = torch.tensor([[1, 1, 2, 2, 3, 3]]).expand(1, 2, 6)
    pull, push, reg = three(maps, ids)[:, 0]
    assert (pull, push, reg) == (0, 9, 0)
    grad, = torch.autograd.grad(pull + push + reg, maps)
    assert (grad == 0).all()


@pytest.mark.parametrize('step', [5, 1000, 2**40])
@pytest.mark.parametrize('options', [
    dict(), dict(push_scope='batch'), dict(push_scope='class'),
    dict(min_pixels=3), dict(background='instance')])
def test_discriminative_loss__ids_unique_over_the_batch(step, options):
    g = torch.Generator().manual_seed(0)
    embeddings = torch.randn(6, 3, 8, 9, generator=g)
    ids = torch.randint(-1, 6, (6, 8, 9), generator=g)
    classes = ids % 2
    own = torch.arange(6)[:, None, None] * step + ids
    kept = ids >= 0 if 'background' in options else ids > 0
    unique = torch.where(kept, own, -1)
    results = []
    for numbers in (ids, unique):
        points = embeddings.clone().requires_grad_()
        terms = discriminative_loss(
            points, numbers, class_ids=classes, **options)
        sum(term.sum() for term in terms[:3]).backward()
        results.append([*terms, points.grad])
    assert all(torch.equal(*pair) for pair in zip(*results))
    # what is paid for: slots, of which the square is compared
    assert instance_slots(ids).areas.shape == (6, 5)
    assert instance_slots(unique).areas.shape == (
        6, 6 if 'background' in options else 5)


@pytest.mark.parametrize('ids, index, areas', [
    ([[7, -1, 3, 7], [9, 9, 9, 9]], [[1, 2, 0, 1], [0, 0, 0, 0]],
     [[1, 2], [4, 0]]),
    ([[-1, -1]], [[1, 1]], [[0]]), ([[]], [[]], [[0]]),
    ([[5], [-1]], [[0], [1]], [[1], [0]])
])
def test_instance_slots__number_the_ids_of_every_image(ids, index, areas):
    found = instance_slots(torch.tensor(ids).long())
    assert found.index.tolist() == index
    assert (found.areas * found.valid).tolist() == areas
    assert (found.areas >= 1).all()


def test_discriminative_loss__many_instances_and_other_integers():
    g = torch.Generator().manual_seed(0)
    maps = torch.randn(1, 2, 300, 300, generator=g)
    ids = torch.arange(90000).view(1, 300, 300)
    pull, _, reg, valid = discriminative_loss(
        maps[:, :, :2, :200], ids[:, :2, :200], background='instance')
    assert pull == 0 and reg > 0 and valid.all()
    small = (ids[:, :9, :9] % 5)
    want = three(maps[:, :, :9, :9], small)
    for dtype in (torch.int32, torch.int16, torch.uint8):
        assert torch.equal(three(maps[:, :, :9, :9], small.to(dtype)), want)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_discriminative_loss__autocast(dtype):
    maps, ids = random_case(8)
    maps = maps.to(dtype)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        got = three(maps, ids)
    assert got.dtype == torch.float32
    assert torch.allclose(got.double(), three(maps.double(), ids), rtol=1e-3)


def test_discriminative_loss__calls_do_not_depend_on_the_batch():
    def counted(batch):
        maps, ids = random_case(0, batch=batch)
        with CallCounter() as counter:
            terms = discriminative_loss(maps.requires_grad_(), ids,
                                        num_ids=5)
            sum(terms[:3]).sum().backward()
        return counter
    one, many = counted(1), counted(6)
    assert one.calls == many.calls
    assert many.syncs == 0, many.counts


def test_discriminative_terms__diagnostics():
    maps = torch.tensor([[[0., 0., 2., 4.]]])
    ids = torch.tensor([[1, 1, 2, 2]])
    terms = discriminative_terms(maps, ids, **DEFAULTS)
    assert (terms.num_instances, terms.active_pixels,
            terms.active_pairs) == (2, 2, 0)
    near = discriminative_terms(
        maps, ids, **{**DEFAULTS, 'delta_dist': 1.6})
    assert near.active_pairs == 2


@pytest.mark.parametrize('changes, error', [
    (dict(delta_var=-1.), '`delta_var` must'),
    (dict(delta_dist=-1.), '`delta_dist` must'),
    (dict(background='void'), '`background` must be one of'),
    (dict(distance='l3'), '`distance` must be one of'),
    (dict(normalizer='mean'), '`normalizer` must be one of'),
    (dict(push_scope='all'), '`push_scope` must be one of'),
    (dict(push_scope='class'), '`class_ids` must be given'),
    (dict(min_pixels=0), '`min_pixels` must'),
    (dict(num_ids=0), '`num_ids` must'),
    (dict(instance_ids=torch.zeros(3, 5, 7).long()), '`instance_ids` must'),
    (dict(instance_ids=torch.zeros(3, 2, 5, 7).bool()), 'must be masks of'),
    (dict(instance_ids=torch.zeros(3, 2, 5, 6).bool(), overlap='min'),
     '`overlap` must be one of'),
    (dict(embeddings=torch.zeros(3, 5, 6).long()), '`embeddings` must be a'),
])
def test_discriminative_loss__bad_input(changes, error):
    maps, ids = random_case(0)
    arguments = {**dict(embeddings=maps, instance_ids=ids), **changes}
    with pytest.raises(ValueError, match=error):
        discriminative_loss(**arguments)


def test_discriminative_loss__ids_that_are_no_integers():
    maps, ids = random_case(0)
    with pytest.raises(TypeError, match='`instance_ids` must be integers'):
        discriminative_loss(maps, ids.float())
