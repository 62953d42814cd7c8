"""Count calls of public functions and methods, which go on as they are."""


def count_calls(owner, name, patch=setattr):
    """Wrap a function of a module or class; return its calls, a list.

    Args:
        owner: Module or class that holds it.
        name: Name of the function.
        patch: What puts the wrapper in place; `monkeypatch.setattr` takes it
            away after the test.
    """
    calls, real = [], getattr(owner, name)

    def counted(*args, **options):
        calls.append((args, options))
        return real(*args, **options)

    patch(owner, name, counted)
    return calls
