"""tools/attach.py as it is called."""
import subprocess
import sys
from pathlib import Path

from mmengine.config import Config

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'attach.py'
BASE = 'mmseg::fcn/fcn_r18-d8_4xb2-80k_cityscapes-512x1024.py'


def run(folder, *args):
    return subprocess.run([sys.executable, str(TOOL), *args], cwd=folder,
                          capture_output=True, text=True, check=False)


def test_attach_tool__writes_a_config_and_says_what_it_found(tmp_path):
    done = run(tmp_path, BASE, '--method', 'pixel-contrast', '--set',
               'bank.capacity=9', 'loss.temperature=0.2')
    assert done.returncode == 0, done.stderr
    for text in ('EncoderDecoder', 'level 3', '512 channels', 'classes: 19',
                 'python tools/train.py'):
        assert text in done.stdout
    out, = tmp_path.iterdir()
    assert out.name == ('pixel-contrast_fcn_r18-d8_4xb2-80k_cityscapes-'
                        '512x1024.py')
    head = Config.fromfile(out).model.metric_head
    assert head.bank.capacity == 9 and head.loss.temperature == 0.2


def test_attach_tool__reports_an_error_without_a_traceback(tmp_path):
    done = run(tmp_path, BASE, '--out', 'a.py', '--set', 'wieght=1')
    assert done.returncode == 1
    assert "got ['wieght']" in done.stderr
    assert 'Traceback' not in done.stderr
    assert not list(tmp_path.iterdir())


def test_attach_tool__help_has_an_example(tmp_path):
    done = run(tmp_path, '--help')
    assert 'mmseg::ocrnet' in done.stdout
