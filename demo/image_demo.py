"""Show what trained models predict, in seconds, without data or a GPU.

The script takes a model of the zoo and writes, for each image, a panel with
the image, the prediction, the segments and the embedding. Use it to see the
package work before you train anything, or to try your own pictures.
tools/infer.py does the same with any config and checkpoint.

Examples:
    python demo/image_demo.py
    python demo/image_demo.py street.jpg
    python demo/image_demo.py --words ring bar
"""
import argparse
from pathlib import Path

# imported first, because it makes the configs of the hosts known to mmengine
import mmpixsort.compat
from mmpixsort.utils.command import errors_as_text, quiet_hosts

STREETS = 'segsort_fcn-mnv2-classifier_1xb8-1500it_camvid'
SHAPES = 'textgroup_tiny-rgbxy-km16_1xb32-3k_shapes-64x64'
NUM_GENERATED = 4


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'image', nargs='*',
        help='paths of images or folders of images (default: generated ones)')
    parser.add_argument(
        '--words', nargs='+',
        help='name regions by these words, with the model of shapes, which '
        'knows disk, square, triangle, ring, cross and bar; without this '
        'option, the model of streets predicts')
    parser.add_argument(
        '--out', type=Path, default=Path('demo_output/images'),
        help='folder for the pictures (default: %(default)s)')
    return parser.parse_args(argv)


def generated(words):
    """Return generated images (H, W, 3), BGR, that suit a model."""
    from mmpixsort.datasets.synthetic import StreetScenes
    from mmpixsort.datasets.synthetic.captioned_shapes import CaptionedShapes
    scenes = (
        StreetScenes(NUM_GENERATED, size=(193, 257), split='test')
        if words is None else CaptionedShapes(NUM_GENERATED, split='test'))
    return [scenes[i].image[..., ::-1].copy() for i in range(NUM_GENERATED)]


def main(argv=None):
    args = parse_args(argv)
    quiet_hosts()
    with errors_as_text(ConnectionError):
        mmpixsort.compat.require('mmseg')
        from mmpixsort.apis.inferencer import PixSortInferencer, list_images
        images = [image for path in args.image
                  for image in list_images(path)] or generated(args.words)
        infer = PixSortInferencer(STREETS if args.words is None else SHAPES)
        infer(images, words=args.words, out_dir=args.out)
    print(f'{len(images)} images: {args.out}')


if __name__ == '__main__':
    main()
