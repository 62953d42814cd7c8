"""register_all_modules, as mmengine.hub calls it."""
import copy

import pytest

from mmpixsort.utils import register, register_all_modules


@pytest.fixture
def scopes():
    """Put the default scope back."""
    from mmengine.registry import DefaultScope
    before = copy.copy(DefaultScope._instance_dict)
    yield DefaultScope
    DefaultScope._instance_dict = before


def test_register__sets_the_host_scope(scopes):
    host = next(filter(register.found, register.HOSTS))
    scopes.get_instance('elsewhere', scope_name='mmengine')
    register_all_modules()
    assert scopes.get_current_instance().scope_name == host
    scopes.get_instance('elsewhere2', scope_name='mmengine')
    register_all_modules()
    assert scopes.get_current_instance().scope_name == host


def test_register__leaves_the_scope(scopes):
    scopes.get_instance('elsewhere3', scope_name='mmengine')
    register_all_modules(init_default_scope=False)
    assert scopes.get_current_instance().scope_name == 'mmengine'


def test_register__needs_mmengine(monkeypatch):
    monkeypatch.setattr('mmpixsort.compat.found', lambda module: False)
    with pytest.raises(ImportError, match='`mmengine`.*Remedy'):
        register_all_modules()
