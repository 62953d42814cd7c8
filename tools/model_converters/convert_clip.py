"""Turn a file of CLIP into a checkpoint that a config can load.

Reads OpenAI's archives and state dicts of open_clip (.pt, .bin,
.safetensors); writes float32 for `OpenCLIPDual`. The sizes are read off the
weights, not off the name of the file.

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
    parser.add_argument('source', help='the file to read')
    parser.add_argument('target', help='the file to write, .pth')
    parser.add_argument(
        '--prefix', help='what stands before the names in the source '
        '(default: found; needed where it holds several models)')
    parser.add_argument(
        '--target-prefix', default='', help='what to put before the names: '
        'the path of the dual encoder in the model and a dot for `load_from` '
        '(default: nothing, for its `init_cfg`)')
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
