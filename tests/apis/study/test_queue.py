"""Runs in processes of their own: resumed, paired, failing."""
import json
import os
import platform
import signal
import subprocess
import sys
import time

import pytest
import torch
from rich.console import Console

from mmpixsort.apis.study import Place, read_study
from mmpixsort.apis.study import queue
from mmpixsort.apis.study.results import Results, unequal
from mmpixsort.apis.study.worker import newest_checkpoint


def quiet():
    return Console(file=open(os.devnull, 'w'), width=120)


def todo(study):
    return [(job.arm.name, job.seed)
            for job in queue.jobs(study, study, Place())]


def test_study__resumes_after_a_kill_and_pairs_its_arms(folder):
    study = read_study('study.py')
    assert len(todo(study)) == 4
    assert not queue.run_study(study, seeds=[0], num_jobs=2, console=quiet())
    assert todo(study) == [('plain', 1), ('contrast', 1)]
    assert not unequal(study)
    path = Results(study.results).path('plain', 0)
    unbroken = json.loads(path.read_text())
    weights = find(folder, 'plain_seed0_*/weights.pth')
    before = torch.load(weights, weights_only=True)['state_dict']
    # the same again, killed at iteration 7
    path.rename(folder / 'aside.json')
    weights.parent.rename(folder / 'aside')
    (folder / 'pause').touch()
    job = next(iter(queue.jobs(study, study, Place())))
    process = subprocess.Popen(
        queue.command(study, job, Place()),
        env=queue.environment(2, None), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    wait_for(folder / 'paused')
    assert status_of(study, 'plain', 0) == 'running'
    # a second queue leaves the run alone, and nothing has failed
    assert not queue.run_study(
        study, arms=['plain'], seeds=[0], console=quiet())
    process.send_signal(signal.SIGKILL)
    process.wait()
    (folder / 'pause').unlink()
    assert status_of(study, 'plain', 0) == 'cut off'
    # half a file, as a machine that stops leaves it
    newest = find(folder, 'plain_seed0_*/iter_6.pth')
    newest.write_bytes(newest.read_bytes()[:1000])
    assert not queue.run_study(
        study, arms=['plain'], seeds=[0], console=quiet())
    assert status_of(study, 'plain', 0) == 'done'
    after = torch.load(weights, weights_only=True)['state_dict']
    assert all(torch.equal(before[k], after[k]) for k in before)
    resumed = json.loads(path.read_text())
    for key in ('images', 'initial_weights', 'config_hash', 'average'):
        assert resumed[key] == unbroken[key]
    scores = resumed['tests']['test']['scores']
    assert scores == unbroken['tests']['test']['scores']
    assert set(study.scores) <= set(scores)
    # a further test is added: the finished one is not run again
    kept = find(folder, 'plain_seed0_*/test_test/scores.json')
    kept.write_text(json.dumps(dict(json.loads(kept.read_text()), minutes=7)))
    text = (folder / 'study.py').read_text()
    (folder / 'study.py').write_text(
        text + "tests = dict(test={}, slide={'model.test_cfg': dict("
        "_delete_=True, mode='slide', crop_size=(16, 16), stride=(8, 8))})\n")
    study = read_study('study.py')
    assert status_of(study, 'plain', 0) == 'outdated'
    assert not queue.run_study(
        study, arms=['plain'], seeds=[0], console=quiet())
    tests = json.loads(path.read_text())['tests']
    assert tests['test'] == dict(resumed['tests']['test'], minutes=7)
    assert tests['slide']['minutes'] < 7
    # a test with other settings is run, and so is one of older weights
    kept.write_text(kept.read_text().replace(tests['test']['hash'], 'other'))
    slide = find(folder, 'plain_seed0_*/test_slide/scores.json')
    slide.write_text(json.dumps(dict(tests['slide'], minutes=7)))
    os.utime(slide, ns=(0, weights.stat().st_mtime_ns - 1))
    path.unlink()
    assert not queue.run_study(
        study, arms=['plain'], seeds=[0], console=quiet())
    tests = json.loads(path.read_text())['tests']
    assert tests['test']['minutes'] < 7 and tests['slide']['minutes'] < 7


def test_study__scores_the_moving_average_of_the_weights(folder):
    text = (folder / 'study.py').read_text()
    (folder / 'study.py').write_text(
        text.replace('last=2, interval=2', 'last=12, interval=1')
        + "hooks = [dict(type='EMAHook', momentum=.25)]\n")
    study = read_study('study.py')
    assert not queue.run_study(
        study, arms=['plain'], seeds=[0], console=quiet())
    states = [torch.load(find(folder, f'plain_seed0_*/iter_{i}.pth'),
                         weights_only=False) for i in range(1, 13)]
    key = 'decode_head.conv_seg.weight'
    moving, total = 0., 0.
    for step, state in enumerate(states):
        # the hook keeps the weights of the training under this name
        trained = state['ema_state_dict'][f'module.{key}'].double()
        moving = trained if not step else .75 * moving + .25 * trained
        total = total + moving
    weights = torch.load(find(folder, 'plain_seed0_*/weights.pth'),
                         weights_only=True)['state_dict']
    assert torch.allclose(weights[key].double(), total / 12, atol=1e-6)
    assert not torch.allclose(weights[key].double(), trained, atol=1e-3)


def test_study__shows_a_failed_run_and_goes_on(folder):
    path = folder / 'study.py'
    path.write_text(path.read_text().replace(
        'plain=dict()', "plain=dict(), bad=dict(options={'model.decode_head"
        ".in_channels': 5})"))
    study = read_study(path)
    console = Console(record=True, width=120)
    failed = queue.run_study(
        study, arms=['bad', 'contrast'], seeds=[3], console=console)
    assert [(job.arm.name, job.seed) for job in failed] == [('bad', 3)]
    text = console.export_text()
    assert 'FAILED bad seed 3' in text and 'to have 5 channels' in text
    assert Results(study.results).read('contrast', 3) is not None
    shown = console_text(queue.status(
        queue.select(study, ['bad'], [3])))
    assert 'failed' in shown


def test_study__ends_its_runs_when_it_is_killed(folder, repo_root):
    (folder / 'pause').touch()
    process = subprocess.Popen(
        [sys.executable, str(repo_root / 'tools' / 'study.py'), 'run',
         'study.py', '--arms', 'plain', '--seeds', '0'],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(folder / 'paused')
    study = read_study('study.py')
    assert status_of(study, 'plain', 0) == 'running'
    process.send_signal(signal.SIGKILL)
    process.wait()
    end = time.time() + 20
    while status_of(study, 'plain', 0) == 'running':
        assert time.time() < end
    assert status_of(study, 'plain', 0) == 'cut off'


def find(folder, pattern):
    found, = folder.glob(f'work_dirs/studies/study/{pattern}')
    return found


def wait_for(path, seconds=60):
    end = time.time() + seconds
    while not path.exists():
        assert time.time() < end, f'{path} did not appear'
        time.sleep(.05)


def status_of(study, arm, seed):
    chosen = queue.select(study, [arm], [seed])
    text = console_text(queue.status(chosen))
    return next(s for s in ('running', 'cut off', 'done', 'failed',
                            'waiting', 'outdated') if f' {s} ' in text)


def console_text(table):
    console = Console(record=True, width=120, file=open(os.devnull, 'w'))
    console.print(table)
    return console.export_text()


def test_select__refuses_an_unknown_arm(folder):
    with pytest.raises(ValueError, match='got other'):
        queue.select(read_study('study.py'), ['other'])


def test_dry_run__prints_commands_with_their_share_of_cores(
        folder, monkeypatch):
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    study = read_study('study.py')
    jobs = queue.jobs(study, study, Place())
    text = queue.dry_run(study, Place(data='x'), jobs, 1000)
    assert len(text.splitlines()) == 4
    assert text.startswith(f'OMP_NUM_THREADS=1 {sys.executable} ')
    assert text.endswith('--arm contrast --seed 1 --data x')


def test_newest_checkpoint__skips_half_a_file(tmp_path):
    torch.save(dict(state_dict={}), tmp_path / 'iter_9.pth')
    torch.save(dict(state_dict={}), tmp_path / 'iter_10.pth')
    assert newest_checkpoint(tmp_path).name == 'iter_10.pth'
    (tmp_path / 'iter_10.pth').write_bytes(b'PK')
    assert newest_checkpoint(tmp_path).name == 'iter_9.pth'
    (tmp_path / 'iter_9.pth').unlink()
    assert newest_checkpoint(tmp_path) is None


# colours of a grid of hues, saturations and values, as one number
COLOURS = """
import cv2
import numpy as np
grid = np.stack(np.mgrid[0:180:7, 0:256:5, 0:256:5], -1).astype('uint8')
image = cv2.cvtColor(grid.reshape(1, -1, 3), cv2.COLOR_HSV2BGR).ravel()
print(int(image.astype(np.int64) @ np.arange(image.size)))
"""


@pytest.mark.skipif(
    platform.machine() != 'x86_64', reason='recorded on x86_64 with AVX2')
def test_environment__colours_are_rounded_as_without_avx512(monkeypatch):
    monkeypatch.delenv('OPENCV_CPU_DISABLE', raising=False)
    printed = subprocess.run(
        [sys.executable, '-c', COLOURS],
        env=queue.environment(1, None),
        capture_output=True,
        text=True,
        check=True).stdout
    # OpenCV 4.12 and 4.13; 4.14 prints 2114518971584 with AVX-512
    assert printed.strip() == '2114515597763'


def test_environment__keeps_what_is_set(monkeypatch):
    monkeypatch.setenv('OPENCV_CPU_DISABLE', '')
    assert queue.environment(1, None)['OPENCV_CPU_DISABLE'] == ''
