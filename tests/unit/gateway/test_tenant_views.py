"""Every query of the gateway about images reads the views of one tenant, but for those of the installation."""

import re
from pathlib import Path

from thumbmill import gateway

SOURCES = Path(gateway.__file__).parent
NAMES = re.compile(r"\b(?:FROM|JOIN)\s+(?:image_status|image_changes|image_timeline)\b")
INSTALLATION = {
    "images/repository.py": 2,  # the backlog, by which uploads are admitted
    "images/tenant_views.py": 4,
    "operations/queries.py": 5,  # for the scope `admin`, which no principal of a tenant has
}


def test_views_of_all_tenants_are_read_only_where_no_client_sees_the_images():
    found = {
        str(path.relative_to(SOURCES)): len(NAMES.findall(path.read_text()))
        for path in sorted(SOURCES.rglob("*.py"))
        if NAMES.search(path.read_text())
    }
    assert found == INSTALLATION
