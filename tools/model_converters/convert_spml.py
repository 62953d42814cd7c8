"""Convert a checkpoint of the released code of SPML.

The tool reads files of twke18/SPML (embedding models on PSPNet and DeepLab),
compares names and shapes with the model of a config, and writes a checkpoint
for it. The configs `*-spml_*` of configs/segsort have the layers of that
code. The softmax classifier on the embeddings is left out: build a bank of
prototypes with tools/build_bank.py, and predict by retrieval.

Example:
    python tools/model_converters/convert_spml.py \\
        model-29999.pth checkpoints/spml_voc12_scribble.pth \\
        --config configs/segsort/segsort_deeplab-r101-d8-spml_*.py
"""
import argparse

import mmpixsort.compat
from mmpixsort.utils.command import errors_as_text, quiet_hosts

with errors_as_text():
    mmpixsort.compat.require('mmseg')


def parse_args() -> argparse.Namespace:
    from mmengine.config import DictAction
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', help='checkpoint to read')
    parser.add_argument('target', help='.pth file to write')
    parser.add_argument(
        '--config', required=True, help='config of the model that shall load '
        'the result')
    parser.add_argument(
        '--verbose', action='store_true', help='list every tensor')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={},
        metavar='KEY=VALUE', help='settings that override the config')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    quiet_hosts()
    from mmpixsort.apis.convert import (convert_checkpoint, convert_spml,
                                        describe_conversion)
    with errors_as_text():
        done = convert_checkpoint(
            args.source, args.target, args.config, convert_spml,
            cfg_options=args.cfg_options)
    print(describe_conversion(done, verbose=args.verbose))
    print(f'written: {args.target}')


if __name__ == '__main__':
    main()
