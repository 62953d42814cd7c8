"""Show the embeddings of a bank in a plane.

The tool reads a bank of prototypes, instances or texts and writes a picture
with a point for each row, in the colour of its class, projected by t-SNE, UMAP
or PCA. With --tensorboard it also writes the embeddings themselves for the
projector of TensorBoard: start `tensorboard --logdir FOLDER` and choose
PROJECTOR.

Example:
    python tools/analysis_tools/embedding_projector.py street.bank \\
        street.png --tensorboard logs/street
"""
import argparse

# First of all: it makes prefixes and checkpoints of mmengine work, or says
# what is wrong with the installation.
import mmpixsort.compat
from mmpixsort.utils.command import errors_as_text, quiet_hosts

with errors_as_text():
    mmpixsort.compat.require('mmengine')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('bank', help='file of a bank')
    parser.add_argument('out', help='picture to write, .png')
    parser.add_argument(
        '--method', default='tsne', choices=('tsne', 'umap', 'pca'),
        help='tsne needs mmpixsort[vis], umap needs mmpixsort[umap] '
        '(default: %(default)s)')
    parser.add_argument(
        '--max-rows', type=int, default=2000,
        help='maximum number of rows, drawn evenly over the classes '
        '(default: %(default)s)')
    parser.add_argument(
        '--perplexity', type=float, default=30.,
        help='of tsne: about the number of neighbours that count (default: '
        '%(default)s)')
    parser.add_argument(
        '--num-neighbors', type=int, default=15,
        help='of umap: number of neighbours that count (default: '
        '%(default)s)')
    parser.add_argument(
        '--seed', type=int, default=0,
        help='seed of the random draws (default: %(default)s)')
    parser.add_argument(
        '--tensorboard', metavar='FOLDER', help='folder of a log for the '
        'projector of TensorBoard (default: none)')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    quiet_hosts()
    from mmpixsort.apis.analysis.projector import project_bank
    with errors_as_text():
        done = project_bank(
            args.bank, args.out, method=args.method, max_rows=args.max_rows,
            perplexity=args.perplexity, num_neighbors=args.num_neighbors,
            seed=args.seed, board=args.tensorboard)
    print(f'{len(done.places)} rows: {done.picture}')
    if done.board is not None:
        print(f'tensorboard --logdir {done.board}')


if __name__ == '__main__':
    main()
