"""Segment images by words, and draw the words onto the regions they name.

Example:
    python tools/segment_words.py CONFIG weights.pth street.jpg \\
        --words car road "traffic light" --out shown
"""
import argparse
from pathlib import Path

# Imported first, because it checks the installation and makes config prefixes
# (mmseg::) and checkpoints of mmengine work.
import mmpixsort.compat
from mmpixsort.utils.command import errors_as_text, quiet_hosts

with errors_as_text():
    mmpixsort.compat.require('mmseg')


def parse_args() -> argparse.Namespace:
    from mmengine.config import DictAction
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='path of a config of text grouping')
    parser.add_argument(
        'checkpoint',
        help='path of the weights; "none" uses the weights that the config '
        'names')
    parser.add_argument('image', nargs='+', help='paths of images')
    parser.add_argument(
        '--words', nargs='+',
        help='words to search for (default: the classes of the config)')
    parser.add_argument(
        '--alias', nargs='+', action='append', default=[],
        metavar=('WORD', 'NAME'),
        help='search for these names in place of a word; a pixel that matches '
        'any of them gets the word (may be repeated)')
    parser.add_argument(
        '--out', default='words',
        help='folder for NAME.png of each image (default: %(default)s)')
    parser.add_argument(
        '--device', default='cpu',
        help='cpu, cuda:0, ... (default: %(default)s)')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={},
        metavar='KEY=VALUE', help='settings that override the config')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    quiet_hosts()
    from mmpixsort.apis.text_inferencer import (TextGroupInferencer,
                                                save_word_map)
    from mmpixsort.utils.files import result_names
    with errors_as_text():
        names = result_names(args.image)
        checkpoint = None if args.checkpoint == 'none' else args.checkpoint
        segment = TextGroupInferencer(
            args.config, checkpoint, device=args.device,
            cfg_options=args.cfg_options)
        aliases = {word: names for word, *names in args.alias}
        for image, name in zip(args.image, names):
            found = segment(image, args.words, aliases=aliases)
            path = save_word_map(
                found, image, Path(args.out) / f'{name}.png')
            shares = ', '.join(f'{word} {100 * share:.1f} %'
                               for word, share in found.shares.items())
            print(f'{path}: {shares}')


if __name__ == '__main__':
    main()
