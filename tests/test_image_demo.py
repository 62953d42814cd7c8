"""The demonstration that predicts images with models of the zoo."""
import importlib.util

import cv2
import pytest

pytest.importorskip('mmseg')


@pytest.fixture(scope='module')
def demo(repo_root):
    spec = importlib.util.spec_from_file_location(
        'image_demo', repo_root / 'demo' / 'image_demo.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_image_demo__names_generated_shapes(demo, tmp_path, capsys):
    demo.main(['--words', 'ring', 'bar', '--out', str(tmp_path)])
    assert capsys.readouterr().out.endswith(f'4 images: {tmp_path}\n')
    panel = cv2.imread(str(tmp_path / '0003_panel.png'))
    assert panel.shape[1] > 2 * panel.shape[0]
    assert len(list(tmp_path.glob('*_words.png'))) == 4


def test_image_demo__predicts_given_images(demo, tmp_path, capsys):
    image = demo.generated(None)[1][:96, :128]
    cv2.imwrite(str(tmp_path / 'street.png'), image)
    demo.main([str(tmp_path / 'street.png'), '--out', str(tmp_path / 'out')])
    names = {path.name for path in (tmp_path / 'out').iterdir()}
    assert {'street_panel.png', 'street_prediction.png',
            'street_embedding.png'} <= names


def test_image_demo__missing_image(demo, tmp_path):
    with pytest.raises(SystemExit, match='error: .*gone.jpg'):
        demo.main([str(tmp_path / 'gone.jpg'), '--out', str(tmp_path)])


def test_image_demo__unknown_word(demo, tmp_path):
    with pytest.raises(SystemExit, match='error: .*zebra'):
        demo.main(['--words', 'zebra', '--out', str(tmp_path)])


def test_image_demo__help_has_examples(demo, capsys):
    with pytest.raises(SystemExit):
        demo.main(['--help'])
    text = capsys.readouterr().out
    assert 'python demo/image_demo.py --words ring bar' in text
