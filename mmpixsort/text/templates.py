"""Templates: sentences into which a class name is put before it is encoded.

A text tower that was trained on sentences embeds sentences better than single
words, and the mean over several sentences is less noisy than the embedding of
one. The lists here were written for this package.
"""
from typing import Sequence, Tuple, Union

TEMPLATES = dict(
    none=('{}', ),
    simple=('a photo of a {}.', ),
    subset=(
        'a photo of a {}.',
        'a picture that shows a {}.',
        'there is a {} in this scene.',
        'a {} far away.',
        'a {} right in front of the camera.',
        'a {} seen in poor light.',
        'a drawing of one {}.',
    ),
    varied=(
        'a photo of a {}.',
        'a picture that shows a {}.',
        'a snapshot with a {} in it.',
        'there is a {} in this scene.',
        'we can see the {} here.',
        'several of these: {}.',
        'a {} far away.',
        'a {} in the background.',
        'a {} right in front of the camera.',
        'part of a {}.',
        'a {} that is half hidden.',
        'a {} cut off by the border of the image.',
        'a {} on the left.',
        'a {} on the right.',
        'a {} seen from above.',
        'a {} seen from the side.',
        'a {} seen in poor light.',
        'a {} in bright sunshine.',
        'a {} at night.',
        'a {} in the rain.',
        'an image of a {} that is out of focus.',
        'a grainy image of a {}.',
        'a low resolution image of a {}.',
        'a sharp image of a {}.',
        'an old image of a {} without colour.',
        'a tiny {}.',
        'a huge {}.',
        'a clean, new {}.',
        'a dirty, worn {}.',
        'an ordinary {} outdoors.',
        'an ordinary {} indoors.',
        'a drawing of one {}.',
    ))


def check_templates(templates: Union[str, Sequence[str]]) -> Tuple[str, ...]:
    """Return the templates of a named list, or check a list of templates.

    Args:
        templates: Name of a list: 'none' (the bare name), 'simple' (1
            sentence), 'subset' (7) or 'varied' (32); or sentences with `{}`
            in place of the name.

    Raises:
        ValueError: If the name is unknown, the list is empty, a sentence
            occurs twice, lacks `{}` or contains other braces.

    Example:
        >>> check_templates('simple')
        ('a photo of a {}.',)
    """
    if isinstance(templates, str):
        if templates not in TEMPLATES:
            raise ValueError(
                f'`templates` must be one of {", ".join(TEMPLATES)} or a '
                f'list of sentences with {{}} in them, got {templates!r}')
        return TEMPLATES[templates]
    prompts = tuple(templates)
    if not prompts:
        raise ValueError('`templates` must contain at least one sentence, '
                         "got none; use 'none' to encode bare names")
    for prompt in prompts:
        parts = prompt.split('{}') if isinstance(prompt, str) else ()
        if len(parts) != 2 or any(brace in ''.join(parts) for brace in '{}'):
            raise ValueError('`templates` must be sentences with one {} in '
                             'place of the name and no other braces, got '
                             f'{prompt!r}')
    if len(set(prompts)) < len(prompts):
        raise ValueError('`templates` must differ from each other, got '
                         f'{len(prompts) - len(set(prompts))} repeated')
    return prompts


def fill_template(template: str, name: str) -> str:
    """Put a name, which may itself contain braces, into a template.

    Example:
        >>> fill_template('a photo of a {}.', 'dog')
        'a photo of a dog.'
    """
    return template.replace('{}', name)
