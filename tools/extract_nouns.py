"""Extract the nouns of captions, for training with `ImageCaptionDataset`.

An interrupted run continues when the command is repeated.

Examples:
    python tools/extract_nouns.py captions_train2017.json --out nouns.jsonl
    python tools/extract_nouns.py captions.jsonl --lexicon words.txt \\
        --out nouns.jsonl

A lexicon is a text file with one noun per line, `dog` or `dog: puppy, hound`.
The default is the list of everyday nouns of mmpixsort.
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
        help='file of captions: .jsonl, .csv or .tsv with img_path and '
        'caption, or the .json file of COCO captions')
    parser.add_argument(
        '--out', type=Path, required=True, help='.jsonl file to write')
    parser.add_argument(
        '--extractor', choices=('lexicon', 'spacy', 'nltk'),
        default='lexicon',
        help='how nouns are found; spacy and nltk need installed models '
        '(default: %(default)s)')
    parser.add_argument('--lexicon', type=Path, help='word list')
    parser.add_argument(
        '--spacy-model', default='en_core_web_sm',
        help='name or folder of the model of spacy (default: %(default)s)')
    parser.add_argument(
        '--overwrite', action='store_true', help='replace an existing file')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    # imported after parsing, because these imports take seconds
    from mmpixsort.apis.extract_nouns import extract_nouns
    from mmpixsort.text.noun_parsers import build_extractor
    from mmpixsort.utils.command import errors_as_text
    from mmpixsort.utils.progress import progress
    with errors_as_text(), ExitStack() as stack:
        shown = []  # function that advances the bar, and its present state

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
