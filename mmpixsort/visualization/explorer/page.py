"""Fill the template of the explorer page.

A page is one file that needs no network. Names of files and classes may hold
any character: they are written as JSON in which no `<` is left, and the
script of the page sets them as text, never as HTML. The page forbids itself,
by a content security policy, every script but its own and every connection.
"""
import base64
import hashlib
import html
import json
from pathlib import Path
from typing import Dict

FOLDER = Path(__file__).parent


def explorer_page(content: dict, *, server: bool = False) -> str:
    """Return an explorer page, complete with its pictures.

    Args:
        content: Content of the page; see
            :func:`mmpixsort.visualization.explorer.explained.page_content`.
        server: Whether the page may connect to the server that it is from.
    """
    style = (FOLDER / 'explorer.css').read_text(encoding='utf-8')
    script = (FOLDER / 'explorer.js').read_text(encoding='utf-8')
    name = content['name'].encode('utf-8', 'replace').decode()
    return fill((FOLDER / 'explorer.html').read_text(encoding='utf-8'), dict(
        policy=html.escape(content_policy(style, script, server=server)),
        title=html.escape(f'Why {name} was labelled so'),
        style=style,
        content=script_json(content),
        script=script))


def fill(template: str, values: Dict[str, str]) -> str:
    """Return a template in which each `{{name}}` is replaced by its value.

    Values are not searched for names again.

    Example:
        >>> fill('<b>{{a}}</b>', dict(a='{{b}}', b='never'))
        '<b>{{b}}</b>'
    """
    first, *parts = template.split('{{')
    pieces = [first]
    for part in parts:
        name, text = part.split('}}', 1)
        pieces += [values[name], text]
    return ''.join(pieces)


def script_json(content: object) -> str:
    r"""Return JSON that is safe inside a `script` element.

    All characters that could end the element or start a comment are escaped,
    and so are all that are not ASCII.

    Example:
        >>> script_json(['</script>'])
        '["\\u003c/script\\u003e"]'
    """
    text = json.dumps(content, allow_nan=False, separators=(',', ':'))
    for character in '<>&':
        text = text.replace(character, f'\\u{ord(character):04x}')
    return text


def content_policy(style: str, script: str, *, server: bool) -> str:
    """Return a content security policy for one style and one script.

    Args:
        style: Text of the style element.
        script: Text of the script element.
        server: Whether connections to the server of the page are allowed.
    """
    rules = [
        "default-src 'none'", 'img-src data:',
        f"style-src '{_digest(style)}'", f"script-src '{_digest(script)}'",
        "base-uri 'none'", "form-action 'none'"]
    if server:
        rules.append("connect-src 'self'")
    return '; '.join(rules)


def _digest(text: str) -> str:
    """Return the hash of a text as content security policies write it."""
    data = hashlib.sha256(text.encode()).digest()
    return 'sha256-' + base64.b64encode(data).decode()
