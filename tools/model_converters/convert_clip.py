"""Convert a file of CLIP weights to a checkpoint that a config can load.

The tool reads archives of OpenAI and state dicts of open_clip (.pt, .bin,
.safetensors) and writes float32 weights for `OpenCLIPDual`. It derives the
sizes of the model from the weights, not from the file name.

Examples:
    python tools/model_converters/convert_clip.py ViT-B-16.pt \\
        checkpoints/clip-vitb16_openai.pth
    # then, in a config:
    #   dict(type='mmpixsort.OpenCLIPDual', model_name='ViT-B-16',
    #        init_cfg=dict(type='Pretrained',
    #                      checkpoint='checkpoints/clip-vitb16_openai.pth'))
"""
import argparse

import mmpixsort.compat
from mmpixsort.utils.command import errors_as_text

with errors_as_text():
    mmpixsort.compat.require('mmengine')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', help='file of weights to read')
    parser.add_argument('target', help='.pth file to write')
    parser.add_argument(
        '--prefix', help='prefix of the names in the source, e.g. module. '
        '(default: searched; required if there are several models)')
    parser.add_argument(
        '--target-prefix', default='', help='prefix of the names in the '
        'target. For `load_from`, use the path of the dual encoder in the '
        'model and a dot, e.g. backbone. (default: none, for `init_cfg`)')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmpixsort.apis.convert_clip import convert_clip, describe_clip
    with errors_as_text(RuntimeError):
        weights = convert_clip(
            args.source, args.target, prefix=args.prefix,
            target_prefix=args.target_prefix)
    print(describe_clip(weights))
    print(f'written: {args.target}')


if __name__ == '__main__':
    main()
