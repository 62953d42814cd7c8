"""Find the nouns of captions, for training with `ImageCaptionDataset`.

A run that was cut off goes on where it stopped, to the same file.

Examples:
    python tools/extract_nouns.py captions_train2017.json --out nouns.jsonl
    python tools/extract_nouns.py captions.jsonl --lexicon words.txt \\
        --out nouns.jsonl

A lexicon is a text file with a noun a line, `dog` or `dog: puppy, hound`;
without one the everyday nouns of mmpixsort are looked for.
"""
import argparse
from contextlib import ExitStack
from pathlib import Path


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'captions', type=Path,
        help='.jsonl, .csv or .tsv with img_path and caption, or the .json '
        'of COCO captions')
    parser.add_argument(
        '--out', type=Path, required=True, help='the .jsonl to write')
    parser.add_argument(
        '--extractor', choices=('lexicon', 'spacy', 'nltk'),
        default='lexicon',
        help='spacy and nltk need their models installed (default: '
        '%(default)s)')
    parser.add_argument('--lexicon', type=Path, help='word list')
    parser.add_argument(
        '--spacy-model', default='en_core_web_sm',
        help='name or folder (default: %(default)s)')
    parser.add_argument(
        '--overwrite', action='store_true', help='replace a finished file')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    # after the arguments: these take seconds
    from mmpixsort.apis.extract_nouns import extract_nouns
    from mmpixsort.text.noun_parsers import build_extractor
    from mmpixsort.utils.command import errors_as_text
    from mmpixsort.utils.progress import progress
    with errors_as_text(), ExitStack() as stack:
        shown = []  # how to advance, and how many are shown as done

        def show(done: int, total: int) -> None:
            if not shown:
                shown.extend((stack.enter_context(
                    progress(total, 'nouns', unit='captions')), 0))
            advance, before = shown
            advance(done - before)
            shown[1] = done

        extractor = build_extractor(
            args.extractor, lexicon=args.lexicon,
            spacy_model=args.spacy_model)
        found = extract_nouns(
            args.captions, args.out, extractor, overwrite=args.overwrite,
            progress=show)
    print(f'{found}\nwritten: {args.out}')


if __name__ == '__main__':
    main()
