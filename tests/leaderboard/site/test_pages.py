"""Every kind of page is made: a module beside the others that nobody calls would be a page that nobody sees."""

import importlib
import pkgutil

from leaderboard.site import pages


def test_every_module_of_pages_is_a_kind_that_is_made() -> None:
    names = [module.name for module in pkgutil.iter_modules(pages.__path__)]
    modules = [importlib.import_module(f"{pages.__name__}.{name}") for name in names]
    assert {module.pages for module in modules} == {*pages.BULK, *pages.KINDS}
    assert len(modules) > 10
