"""Register everything: what `mmengine.hub` and notebooks call."""
from importlib import import_module

from mmpixsort.compat import found, require

HOSTS = ('mmseg', 'mmdet')


def register_all_modules(init_default_scope: bool = True) -> None:
    """Register the parts of mmpixsort and of the hosts that are installed.

    Configs do not need this: a `mmpixsort.` prefix imports what it names. It
    is for code that builds parts without a Runner.

    Args:
        init_default_scope: make the first host found the default scope. The
            scope is never `mmpixsort`: it would hide the host's own names.

    Raises:
        ImportError: if mmengine is not installed.
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
    # Instances are kept by name and the newest one counts: a name that was
    # taken before would return the old, buried instance.
    name, count = scope, 0
    while DefaultScope.check_instance_created(name):
        count += 1
        name = f'{scope}-{count}'
    DefaultScope.get_instance(name, scope_name=scope)
