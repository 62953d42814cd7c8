"""Attach to one config of every kind of host in mmseg; train a step."""
from pathlib import Path

import pytest
import torch
from apis.hosts import (NEEDS_OPS, SLOW, UNTRAINABLE, find_hosts, host_names,
                        host_size, load_host, shrink, table_row)
from apis.training import build, train_step

from mmpixsort import compat
from mmpixsort.apis import attach

DOCS = Path(__file__).resolve().parents[2] / 'docs'
DOCUMENTED = (DOCS / 'attach.md').read_text().splitlines()


def trainable_hosts():
    """Yield a parameter for every host that trains on a CPU."""
    for name in host_names():
        if name in UNTRAINABLE:
            continue
        marks = []
        if name.startswith(SLOW):
            marks.append(pytest.mark.slow)
        if name.startswith(NEEDS_OPS):
            marks.append(
                pytest.mark.skipif(
                    not compat.has_ops(),
                    reason='needs the compiled operators of mmcv'))
        yield pytest.param(name, marks=marks, id=Path(name).stem)


@pytest.mark.parametrize('name', trainable_hosts())
def test_attach__trains_every_host(name):
    cfg = attach(
        shrink(load_host(name)),
        bank=dict(capacity=8),
        embed_dims=16,
        warmup_iters=0)
    # the documentation tells the truth
    assert table_row(name, cfg.model.metric_head) in DOCUMENTED
    torch.manual_seed(0)
    model = build(cfg)
    # mmseg's CrossEntropyLoss with class weights fails on ignored pixels
    ignored = 'class_weight' not in str(cfg.model)
    losses = train_step(model, host_size(name), ignored)
    assert losses['loss_pixel_contrast'] > 0
    assert model.metric_head.bank.written.sum() > 0


@pytest.mark.parametrize('name', UNTRAINABLE)
def test_attach__names_the_type_that_it_refuses(name):
    cfg = load_host(name)
    with pytest.raises(ValueError, match=cfg.model.type):
        attach(cfg)


def test_docs__list_every_host():
    text = '\n'.join(DOCUMENTED)
    missing = [name for name in host_names()
               if f'| {name.removesuffix(".py")} |' not in text]
    assert not missing


@pytest.mark.slow
def test_hosts__list_is_complete():
    assert sorted(find_hosts().values()) == sorted(host_names())
