"""Encode class names as a text bank, so that no text tower is needed later.

CLASSES is the name of a data set of mmseg, or a text file with one class per
line. A line `name: alias, alias` encodes the aliases in place of the name; to
encode the name too, list it among them. The similarity to a class is the
largest similarity to any of its names.

Examples:
    python tools/build_text_bank.py voc CONFIG --out voc.npz
    python tools/build_text_bank.py my_classes.txt CONFIG --out my.npz \\
        --checkpoint work_dirs/try/iter_3000.pth --templates subset
    python tools/build_text_bank.py my_classes.txt CONFIG --out my.npz \\
        --templates "an aerial photo of a {}." "a {} seen by a drone."
    python tools/build_text_bank.py --from-npy rows.npy names.txt \\
        --templates "a {}" --out coco.npz

Use it in a config as `bank=dict(type='mmpixsort.TextBank', file='voc.npz')`.
"""
import argparse

import mmpixsort.compat
from mmpixsort.utils.command import errors_as_text, quiet_hosts

with errors_as_text():
    mmpixsort.compat.require('mmengine')


def parse_args() -> argparse.Namespace:
    from mmpixsort.text.templates import TEMPLATES
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'classes', nargs='?', help='name of a data set of mmseg, e.g. voc, or '
        'path of a text file')
    parser.add_argument(
        'config', nargs='?', help='config of a model with a dual encoder as '
        'its backbone, or with an `encoder`')
    parser.add_argument('--out', required=True, help='.npz file to write')
    parser.add_argument('--checkpoint', help='weights of that model')
    parser.add_argument(
        '--templates', nargs='+', metavar='TEMPLATE',
        help=f'one of {", ".join(TEMPLATES)}, or sentences with {{}} in place '
        'of the name (default: simple; none for --from-npy)')
    parser.add_argument(
        '--from-npy', nargs=2, metavar=('MATRIX', 'NAMES'),
        help='in place of CLASSES and CONFIG: import a matrix (N, E), which '
        'need not be normalised, and a text file with one name per line')
    args = parser.parse_args()
    if (args.config is None) == (args.from_npy is None):
        parser.error('give either CLASSES and CONFIG, or --from-npy')
    if not args.out.endswith('.npz'):
        parser.error(f'--out must end in .npz, got {args.out}')
    if args.templates and len(args.templates) == 1:
        if args.templates[0] in TEMPLATES:
            args.templates = args.templates[0]
    return args


def build(args: argparse.Namespace):
    from mmpixsort.apis.loading import load_encoder
    from mmpixsort.apis.text_bank import (build_text_bank, import_matrix,
                                          read_vocabulary)
    if args.from_npy is not None:
        return import_matrix(
            *args.from_npy, templates=args.templates or 'none')
    vocabulary = read_vocabulary(args.classes)
    encoder = load_encoder(args.config, args.checkpoint)
    return build_text_bank(
        vocabulary, encoder, templates=args.templates or 'simple')


def main() -> None:
    args = parse_args()
    quiet_hosts()
    with errors_as_text():
        bank = build(args)
        bank.save(args.out)
    names, dims = bank.embeddings.shape
    print(f'written: {args.out}, {bank.num_classes} classes, {names} names, '
          f'{dims} dims')


if __name__ == '__main__':
    main()
