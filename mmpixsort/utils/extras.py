"""Errors about packages that come with an extra of mmpixsort."""
from mmpixsort.compat import torchvision_for


def extra_error(what: str,
                extra: str,
                error: Exception,
                otherwise: str = '') -> ImportError:
    """Return an error that names the module that is missing.

    It need not be the package that was asked for: open_clip, say, needs
    torchvision, and installing open_clip once more would change nothing.

    Args:
        what: What needs which package: 'features of timm need timm'.
        extra: Extra of mmpixsort that brings the package.
        error: What the import raised: an ImportError, or the RuntimeError of
            a torchvision of another build than torch.
        otherwise: What works without it.

    Example:
        >>> error = ModuleNotFoundError("No module named 'x'", name='x')
        >>> str(extra_error('this needs y', 'text', error))
        'this needs y: pip install mmpixsort[text] (`x` is missing)'
    """
    name = getattr(error, 'name', None)
    if isinstance(error, ModuleNotFoundError) and name:
        why = f'`{name}` is missing'
    else:
        why = f'{type(error).__name__}: {error}'.splitlines()[0]
    remedy = f'pip install mmpixsort[{extra}]'
    if 'torchvision' in why:
        import torch
        remedy = f'pip install {torchvision_for(torch.__version__)}'
    return ImportError(f'{what}: {remedy} ({why})'
                       + (f'; {otherwise}' if otherwise else ''))
