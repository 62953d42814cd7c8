"""Add a trained model to model_zoo/, or update the tables of the zoo.

`add` takes the work directory of a finished run of a study. It writes the
weights in half precision, a bank of prototypes if the model predicts by
retrieval, and a log; it scores these files, and updates the metafile and
README.md of the method and of the zoo. The data must be where the config
looks for them, or in --data.

Examples:
    python tools/misc/zoo.py add work_dirs/studies/sticks/embedding_seed0_*
    python tools/misc/zoo.py pages
"""
import argparse
from datetime import datetime

import mmpixsort.compat
from mmpixsort.utils.command import errors_as_text, quiet_hosts

with errors_as_text():
    mmpixsort.compat.require('mmengine')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest='command', required=True)
    add = commands.add_parser('add', help='add a finished run of a study')
    add.add_argument('folder', help='work directory of the run, '
                     'work_dirs/studies/STUDY/ARM_seedN_HASH')
    add.add_argument(
        '--data', help='folder that replaces the data_root of the config')
    add.add_argument(
        '--date', type=lambda text: datetime.strptime(text, '%Y%m%d').date(),
        help='date in the file names, as yyyymmdd (default: today)')
    add.add_argument(
        '--bank-images', type=int, help='number of training images in the '
        'bank (default: as many as the limit of a file allows)')
    commands.add_parser('pages', help='update the tables of the pages')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    quiet_hosts()
    from mmpixsort.apis.zoo.entry import add_entry
    from mmpixsort.apis.zoo.index import zoo_root
    from mmpixsort.apis.zoo.pages import update_pages
    with errors_as_text():
        if args.command == 'pages':
            for page in update_pages(zoo_root()):
                print(f'wrote {page}')
            return
        model = add_entry(args.folder, data=args.data, day=args.date,
                          bank_images=args.bank_images)
    for file in model.files():
        print(f'{file.address} ({file.size / 1e6:.1f} MB)')
    print(f'{model.log}\n{model.scores}')


if __name__ == '__main__':
    main()
