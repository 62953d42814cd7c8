"""Show the annotated segments on which a prediction by retrieval is based.

For each image the tool writes NAME.html and NAME.png. The page needs no
network and no other files. Click a segment of the image on it, or choose one
by keyboard, to see its nearest annotated segments with outline, class,
similarity and vote. The PNG shows the same for the largest segments.

Example:
    python tools/explain.py CONFIG CHECKPOINT x.bank a.jpg b.jpg --out shown
"""
import argparse

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
    parser.add_argument('config', help='path of the config')
    parser.add_argument('checkpoint', help='path of the weights')
    parser.add_argument('bank', help='path of the bank of prototypes')
    parser.add_argument('image', nargs='+', help='paths of images')
    parser.add_argument(
        '--out', default='explanations',
        help='folder to write to (default: %(default)s)')
    parser.add_argument(
        '--num-neighbors', type=int, default=6,
        help='number of neighbours that are shown for each segment '
        '(default: %(default)s)')
    parser.add_argument(
        '--max-segments', type=int, default=100,
        help='number of segments that can be opened on the page, the largest '
        'first (default: %(default)s)')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={},
        metavar='KEY=VALUE', help='settings that override the config')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    quiet_hosts()
    from mmpixsort.apis.explain import Explainer
    from mmpixsort.utils.configs import read_config
    from mmpixsort.utils.files import result_names
    with errors_as_text():
        result_names(args.image)  # an error before the model is loaded
        cfg = read_config(args.config)
        cfg.merge_from_dict(args.cfg_options)
        explainer = Explainer(
            cfg, args.checkpoint, args.bank,
            num_neighbors=args.num_neighbors,
            max_segments=args.max_segments)
        for image in args.image:
            files = explainer.write(image, args.out)
            print(f'written: {files.page}, {files.sheet}')


if __name__ == '__main__':
    main()
