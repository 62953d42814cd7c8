"""Errors about missing packages that an extra of mmpixsort installs."""
from mmpixsort.compat import torchvision_for


def extra_error(what: str,
                extra: str,
                error: Exception,
                otherwise: str = '') -> ImportError:
    """Return an ImportError that names the missing module and the remedy.

    The missing module may be a dependency of the package that was imported.
    For example, open_clip needs torchvision, and installing open_clip again
    would not help.

    Args:
        what: Feature and the package it needs, such as 'features of timm
            need timm'.
        extra: Extra of mmpixsort that installs the package.
        error: Error of the import: an ImportError, or the RuntimeError of a
            torchvision that was built for another torch.
        otherwise: Alternative that works without the package, if any.

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
