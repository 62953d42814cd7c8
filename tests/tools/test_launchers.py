"""The command lines that the launchers and the Makefile start."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
CLIS = ('train.py', 'test.py', 'misc/publish_model.py', 'misc/print_config.py',
        'setup_env.py')


@pytest.fixture
def echo(tmp_path):
    """A program that prints its arguments, under two names."""
    for name in ('python', 'srun'):
        script = tmp_path / name
        script.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
        script.chmod(0o755)
    return tmp_path


def start(echo, script, *args, **environ):
    """Return the words that a launcher starts, or its failure."""
    clean = {k: v for k, v in os.environ.items()
             if k not in ('NNODES', 'NODE_RANK', 'PORT', 'MASTER_ADDR',
                          'GPUS', 'GPUS_PER_NODE', 'SRUN_ARGS', 'PYTHON')}
    clean['PATH'] = f'{echo}{os.pathsep}{clean["PATH"]}'
    return subprocess.run(
        ['bash', str(TOOLS / script), *args], env={**clean, **environ},
        capture_output=True, text=True, check=False)


def test_dist_train__defaults(echo):
    done = start(echo, 'dist_train.sh', 'a config.py', '8', '--amp')
    words = done.stdout.splitlines()
    assert words[:2] == ['-m', 'torch.distributed.run']
    assert {'--nnodes=1', '--node_rank=0', '--master_addr=127.0.0.1',
            '--master_port=29500', '--nproc_per_node=8'} <= set(words)
    assert words[-5:] == [f'{TOOLS}/train.py', 'a config.py', '--launcher',
                          'pytorch', '--amp']


def test_dist_train__forwards_the_machines(echo):
    done = start(echo, 'dist_train.sh', 'c.py', '4', NNODES='3', NODE_RANK='2',
                 PORT='4321', MASTER_ADDR='host.local')
    assert {'--nnodes=3', '--node_rank=2', '--master_addr=host.local',
            '--master_port=4321'} <= set(done.stdout.splitlines())


def test_dist_train__keeps_words_whole(echo):
    option = 'model.decode_head.sampler={"a": 1}'
    done = start(echo, 'dist_train.sh', 'c.py', '1', '--cfg-options', option)
    assert done.stdout.splitlines()[-2:] == ['--cfg-options', option]


def test_dist_test__checkpoint_before_gpus(echo):
    done = start(echo, 'dist_test.sh', 'c.py', 'c.pth', '2', '--tta')
    words = done.stdout.splitlines()
    assert '--nproc_per_node=2' in words
    assert words[-6:] == [f'{TOOLS}/test.py', 'c.py', 'c.pth', '--launcher',
                          'pytorch', '--tta']


def test_slurm_train__shapes_the_job(echo):
    done = start(echo, 'slurm_train.sh', 'part', 'job', 'c.py', '--resume',
                 GPUS='16', GPUS_PER_NODE='8', SRUN_ARGS='--quiet -x bad')
    words = done.stdout.splitlines()
    assert words[:2] == ['-p', 'part']
    assert {'--job-name=job', '--ntasks=16', '--gres=gpu:8', '--quiet',
            'bad'} <= set(words)
    assert words[-5:] == [f'{TOOLS}/train.py', 'c.py', '--launcher', 'slurm',
                          '--resume']


def test_slurm_test__without_gpus(echo):
    done = start(echo, 'slurm_test.sh', 'part', 'job', 'c.py', 'c.pth',
                 GPUS='2', GPUS_PER_NODE='0')
    assert '--gres' not in done.stdout
    assert done.stdout.splitlines()[-4:] == ['c.py', 'c.pth', '--launcher',
                                             'slurm']


@pytest.mark.parametrize('script', [
    'dist_train.sh', 'dist_test.sh', 'slurm_train.sh', 'slurm_test.sh'
])
def test_launcher__usage_when_words_lack(script, echo):
    done = start(echo, script, 'c.py')
    assert done.returncode == 2 and f'Usage: tools/{script}' in done.stderr
    assert os.access(TOOLS / script, os.X_OK)


@pytest.mark.parametrize('name', CLIS)
def test_cli__help_with_example(name):
    done = subprocess.run([sys.executable, '-W', 'ignore', TOOLS / name,
                           '--help'], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
    assert 'Example:' in done.stdout


def test_train__missing_config_is_named():
    done = subprocess.run([sys.executable, '-W', 'ignore', TOOLS / 'train.py',
                           'no/such.py'], capture_output=True, text=True,
                          check=False)
    assert done.returncode != 0
    assert 'got `no/such.py`, which does not exist' in done.stderr


@pytest.mark.skipif(shutil.which('make') is None, reason='no make')
@pytest.mark.parametrize('words, part', [
    (['demo'], "tools/train.py configs/pixel_contrast/pixel-contrast_fcn-mnv2_"
     "1xb4-600it_street-scenes.py --work-dir 'demo_output' OMP"),
    (['demo', 'DATA=d', 'WEIGHTS=w.pth', 'DEMO_ARGS=randomness.seed=1'],
     "1xb8-1500it_camvid.py --work-dir 'demo_output' --cfg-options "
     "'train_dataloader.dataset.data_root=d' "
     "'val_dataloader.dataset.data_root=d' "
     "'test_dataloader.dataset.data_root=d' "
     'model.backbone.init_cfg.type=Pretrained '
     "'model.backbone.init_cfg.checkpoint=w.pth' randomness.seed=1 OMP"),
    (['demo', 'DEMO_OUT=x'], '"$(cat \'x/last_checkpoint\')" --work-dir '
     "'x/test' --cfg-options 'visualizer.save_dir=x'"),
    (['demo-text', 'TEXT_ARGS=--seeds 0 1'],
     'tools/study.py run configs/studies/shapes_captions.py --seeds 0 1'),
    (['test', 'PYTEST_ARGS=-k bank'], '-m pytest -k bank'),
    (['venv', 'OPS=0', 'VENV=other'], "--venv 'other' --ops '0'"),
])
def test_make__commands(words, part):
    done = subprocess.run(['make', '-n', *words], cwd=TOOLS.parent,
                          capture_output=True, text=True, check=True)
    assert part in ' '.join(done.stdout.replace('\\\n', ' ').split())
