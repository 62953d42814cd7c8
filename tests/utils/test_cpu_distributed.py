"""Configs and variables of runs without a GPU."""
import pytest
import torch

from mmpixsort.utils import cpu_distributed, prepare_cpu_run

TORCH = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT')


@pytest.fixture
def environ(monkeypatch):
    for name in TORCH:
        monkeypatch.setenv(name, '')  # put back afterwards, whatever happens
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture
def cfg():
    from mmengine.config import Config
    return Config(
        dict(
            model=dict(type='A'),
            env_cfg=dict(dist_cfg=dict(backend='nccl', timeout=60)),
            find_unused_parameters=True))


def test_prepare__no_launcher_changes_nothing(cfg):
    before = cfg.pretty_text
    assert not prepare_cpu_run(cfg, 'none')
    assert cfg.pretty_text == before


def test_prepare__a_gpu_changes_nothing(cfg, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    assert not prepare_cpu_run(cfg, 'pytorch')
    assert cfg.env_cfg.dist_cfg.backend == 'nccl'


def test_prepare__gloo_and_wrapper(cfg, environ, capsys):
    started = []
    environ.setattr(torch.cuda, 'is_available', lambda: False)
    environ.setattr(cpu_distributed, 'start_gloo',
                    lambda launcher, timeout: started.append(timeout))
    environ.setenv('RANK', '0')
    assert prepare_cpu_run(cfg, 'pytorch')
    assert started == [60]
    assert cfg.env_cfg.dist_cfg == dict(backend='gloo', timeout=60)
    assert cfg.model_wrapper_cfg == dict(
        type='CPUDistributedDataParallel', broadcast_buffers=False,
        find_unused_parameters=True)
    assert 'BN replaces SyncBN' in capsys.readouterr().out


def test_prepare__without_env_cfg(environ):
    from mmengine.config import Config
    environ.setattr(torch.cuda, 'is_available', lambda: False)
    environ.setattr(cpu_distributed, 'start_gloo', lambda *args, **kw: None)
    environ.setenv('RANK', '1')
    cfg = Config(dict(model=dict(type='A')))
    prepare_cpu_run(cfg, 'pytorch')
    assert cfg.env_cfg.dist_cfg.backend == 'gloo'
    assert cfg.model_wrapper_cfg.find_unused_parameters is False


def test_translate__slurm(environ):
    environ.setenv('SLURM_PROCID', '3')
    environ.setenv('SLURM_NTASKS', '4')
    environ.setenv('SLURM_LOCALID', '1')
    environ.setenv('MASTER_ADDR', 'node1')
    cpu_distributed.translate_environment('slurm')
    import os
    assert [os.environ[name] for name in TORCH] == [
        '3', '4', '1', 'node1', '29500']


def test_translate__names_what_is_missing(environ):
    environ.setenv('RANK', '0')
    with pytest.raises(ValueError, match='`pytorch` must set.*missing: '
                       'WORLD_SIZE, LOCAL_RANK.*Remedy'):
        cpu_distributed.translate_environment('pytorch')
