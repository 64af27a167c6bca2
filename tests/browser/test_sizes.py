"""What a visitor of the web console loads, compressed as the gateway sends it."""

import gzip
import re

from devstack.web_build import OUTPUT

MAX_SCRIPT_KIB, MAX_STYLE_KIB = 60, 10
_STATIC = re.compile(r"""(?:from|import)\s*["']\./([\w.-]+\.js)["']""")
_DYNAMIC = re.compile(r"""import\(\s*["'`]\./([\w.-]+\.js)["'`]\s*\)""")


def kib(names):
    return sum(len(gzip.compress((OUTPUT / "assets" / name).read_bytes())) for name in names) / 1024


def loaded_with(name):
    """Return the script and all that it imports before it runs."""
    found, waiting = set(), [name]
    while waiting:
        script = waiting.pop()
        if script not in found:
            found.add(script)
            waiting += _STATIC.findall((OUTPUT / "assets" / script).read_text())
    return found


def test_no_page_loads_more_than_its_budget():
    """A page is loaded on demand, with what is always loaded, and perhaps a language besides English."""
    index = (OUTPUT / "index.html").read_text()
    [entry] = re.findall(r'src="\./assets/([\w.-]+\.js)"', index)
    always = loaded_with(entry)
    on_demand = {name for script in always for name in _DYNAMIC.findall((OUTPUT / "assets" / script).read_text())}
    assert len(on_demand) >= 9, "pages and a language"
    [language] = [name for name in on_demand if name.startswith("de-")]
    sizes = {name: kib(always | loaded_with(language) | loaded_with(name)) for name in on_demand}
    assert max(sizes.values()) <= MAX_SCRIPT_KIB, sizes
    styles = re.findall(r'href="\./assets/([\w.-]+\.css)"', index)
    assert 0 < kib(styles) <= MAX_STYLE_KIB
