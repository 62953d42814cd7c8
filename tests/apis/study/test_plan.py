"""The file of a study, and the configs of its runs."""
import pytest
from mmengine.config import Config

from mmpixsort.apis.study import plan


def read(folder, old='', new=''):
    path = folder / 'study.py'
    path.write_text(path.read_text().replace(old, new) if old
                    else path.read_text() + new)
    return plan.read_study(path)


def test_read__runs_go_seed_by_seed_with_the_baseline_first(folder):
    study = read(folder, new="baseline = 'contrast'\n")
    assert [(arm.name, seed) for arm, seed in study.runs()] == [
        ('contrast', 0), ('plain', 0), ('contrast', 1), ('plain', 1)]


@pytest.mark.parametrize('new, words', [
    ('sedes = (1, )\n', 'unknown sedes'),
    ("baseline = 'other'\n", '`baseline` must be one of'),
    ("split = 'train'\n", '`split` must be one of'),
    ('average = dict(last=0)\n', '`average.last` must be positive'),
    ("seeds = ('a', )\n", '`seeds` must be integers'),
    ("arms = {'a/b': {}}\n", 'names of arms'),
    ("arms = dict(x=dict(option={}))\n", 'unknown option'),
    ('arms = {}\n', 'must set `arms`'),
])
def test_read__names_what_is_wrong(folder, new, words):
    with pytest.raises(ValueError, match=words):
        read(folder, new=new)


def test_read__names_a_missing_file(folder):
    with pytest.raises(FileNotFoundError, match='nothing.py'):
        plan.read_study('nothing.py')
    with pytest.raises(FileNotFoundError, match="arm 'contrast'"):
        read(folder, 'contrast.py', 'gone.py')


def hash_of(folder, arm='contrast', seed=0, place=plan.Place()):
    study = plan.read_study(folder / 'study.py')
    return plan.training_hash(
        plan.run_config(study, study.arms[arm], seed, place))


def test_hash__depends_on_what_is_trained_and_on_nothing_else(folder):
    base = hash_of(folder)
    assert hash_of(folder, seed=1) == base
    assert hash_of(folder, 'plain') != base
    weights = plan.Place(weights=str(folder / 'x.pth'))
    assert hash_of(folder, place=weights) != base
    assert hash_of(folder, place=weights) == hash_of(
        folder, place=plan.Place(weights='/elsewhere/x.pth'))
    study = folder / 'study.py'
    text = study.read_text()
    for same in ("tests = dict(a={'model.test_cfg.mode': 'slide'})\n",
                 "title = 'x'\n", "split = 'val'\n",
                 "options = {'default_hooks.logger.interval': 50}\n"):
        study.write_text(text + same)
        assert hash_of(folder) == base, same
    for other in ("options = {'optim_wrapper.optimizer.lr': .1}\n",
                  "options = {'train_dataloader.num_workers': 1}\n",
                  "hooks = [dict(type='EMAHook')]\n"):
        study.write_text(text + other)
        assert hash_of(folder) != base, other


def test_scoring_hash__depends_on_the_test(folder):
    study = read(folder)
    cfg = plan.run_config(study, study.arms['plain'], 0)

    def of(options, split='test', last=1):
        return plan.scoring_hash(
            plan.config_of_test(cfg, options, split), last)

    base = of({})
    assert of({}, split='val') == base  # the same data here
    assert of({}, last=2) != base
    assert of({'model.test_cfg.mode': 'slide'}) != base
    assert of({'test_dataloader.dataset.num_images': 2}) != base
    assert of({'model.decode_head.dropout_ratio': 0.}) != base


def test_move_data__replaces_the_root_wherever_it_stands():
    cfg = Config(dict(
        data_root='data/x/',
        train_dataloader=dict(dataset=dict(data_root='data/x/')),
        test_evaluator=[dict(ann_file='data/x/a.json', other='data/xy')]))
    moved = plan.move_data(cfg, '/mnt/x')
    assert moved.train_dataloader.dataset.data_root == '/mnt/x/'
    assert moved.test_evaluator[0] == dict(
        ann_file='/mnt/x/a.json', other='data/xy')
    assert cfg.data_root == 'data/x/'
    with pytest.raises(ValueError, match='without `data_root`'):
        plan.move_data(Config(dict(train_dataloader=dict(dataset={}))), 'x')


def test_tests__take_the_split_and_test_time_augmentation(folder):
    study = read(folder)
    cfg = plan.run_config(study, study.arms['plain'], 0)
    cfg.val_dataloader.dataset.num_images = 3
    assert plan.config_of_test(
        cfg, {}, 'val').test_dataloader.dataset.num_images == 3
    with pytest.raises(ValueError, match='tta_model'):
        plan.config_of_test(cfg, dict(tta=True), 'test')


def test_scorer__is_a_function_by_its_name():
    assert plan.find_scorer({}) is None
    assert plan.find_scorer(dict(scorer='math:sqrt'))(4) == 2
    for name in ('math:nothing', 'nothing.at.all:x', 'math'):
        with pytest.raises(ValueError, match='`scorer` must be'):
            plan.find_scorer(dict(scorer=name))
