"""Predict images with a model of any method, and draw what it finds.

The tool writes NAME_panel.png with the image, the prediction and the
embedding side by side, and a picture of each. With --pred-out-dir it also
writes NAME.npz with all arrays and NAME.png with the labels. For a map of
classes, it prints the share of the pixels of each class that was found.

Examples:
    python tools/infer.py MODEL_OF_THE_ZOO street.jpg --out-dir shown
    python tools/infer.py config.py images/ --weights weights.pth \\
        --bank x.bank --out-dir shown
    python tools/infer.py CONFIG street.jpg --words car road "traffic light"
"""
import argparse

# Imported first, because it checks the installation and makes config prefixes
# (mmseg::) and checkpoints of mmengine work.
import mmpixsort.compat
from mmpixsort.utils.command import errors_as_text, quiet_hosts

with errors_as_text():
    mmpixsort.compat.require('mmengine')


def parse_args() -> argparse.Namespace:
    from mmengine.config import DictAction
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'model', help='name of a model of the zoo (tools/download.py --list), '
        'or path of a config')
    parser.add_argument('image', nargs='+',
                        help='paths of images or folders of images')
    parser.add_argument(
        '--weights', help='path or URL of the weights (default: those of the '
        'zoo, or those that the config of a text tower names)')
    parser.add_argument(
        '--bank', help='path of a bank of prototypes, to predict by '
        'retrieval (default: that of the zoo or of the config)')
    parser.add_argument(
        '--words', nargs='+', help='words that a model with a text tower '
        'searches for (default: the classes of the config)')
    parser.add_argument(
        '--alias', nargs='+', action='append', default=[],
        metavar=('WORD', 'NAME'),
        help='search for these names in place of a word; a pixel that matches '
        'any of them gets the word (may be repeated)')
    parser.add_argument(
        '--out-dir', default='predictions',
        help='folder for pictures (default: %(default)s)')
    parser.add_argument('--pred-out-dir', help='folder for arrays')
    parser.add_argument(
        '--batch-size', type=int, default=1,
        help='number of images that are predicted at once '
        '(default: %(default)s)')
    parser.add_argument('--device', help='device (default: a GPU if there is '
                        'one)')
    parser.add_argument('--show', action='store_true',
                        help='show each panel in a window')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={},
        metavar='KEY=VALUE', help='settings that override the config')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    quiet_hosts()
    from mmpixsort.apis.inferencer import (PixSortInferencer, list_images,
                                           names_of)
    from mmpixsort.apis.predictions import class_shares
    with errors_as_text(ConnectionError):
        images = [image for path in args.image
                  for image in list_images(path)]
        names = names_of(images)  # an error before the model is loaded
        infer = PixSortInferencer(
            args.model, args.weights, args.device, bank=args.bank,
            cfg_options=args.cfg_options, show_progress=True)
        found = infer(
            images, batch_size=args.batch_size, words=args.words,
            aliases={word: others for word, *others in args.alias},
            show=args.show, out_dir=args.out_dir,
            pred_out_dir=args.pred_out_dir)
    for name, part in zip(names, found['predictions']):
        shares = class_shares(part) if 'labels' in part else {}
        if shares:
            print(f'{name}: ' + ', '.join(
                f'{word} {100 * share:.1f} %'
                for word, share in shares.items()))
    print(f'{len(images)} images: {args.out_dir}')


if __name__ == '__main__':
    main()
