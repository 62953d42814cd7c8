"""Register all classes of the package, for `mmengine.hub` and notebooks."""
from importlib import import_module

from mmpixsort.compat import found, require

HOSTS = ('mmseg', 'mmdet')


def register_all_modules(init_default_scope: bool = True) -> None:
    """Register all classes of mmpixsort and of the hosts that are installed.

    Use it in code that builds models or data sets without a Runner. Runs
    from configs do not need it, as the prefix `mmpixsort.` imports what it
    names.

    Args:
        init_default_scope: Whether to make the first installed host, mmseg
            before mmdet, the default scope. It is never `mmpixsort`, which
            would hide the names of the host.

    Raises:
        ImportError: If mmengine is not installed.
    """
    require('mmengine')
    from mmpixsort.registry import LOCATIONS
    hosts = [host for host in HOSTS if found(host)]
    for host in hosts:
        module = import_module(f'{host}.utils')
        module.register_all_modules(init_default_scope=False)
    for location in LOCATIONS:
        import_module(location)
    if init_default_scope and hosts:
        _set_default_scope(hosts[0])


def _set_default_scope(scope: str) -> None:
    from mmengine.registry import DefaultScope
    current = DefaultScope.get_current_instance()
    if current is not None and current.scope_name == scope:
        return
    # The newest instance is the current one. With a name that is taken,
    # `get_instance` would return the old instance, which is not current.
    name, count = scope, 0
    while DefaultScope.check_instance_created(name):
        count += 1
        name = f'{scope}-{count}'
    DefaultScope.get_instance(name, scope_name=scope)
