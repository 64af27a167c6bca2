"""The tracker's views, narrowed to the images of one tenant.

A query for a client reads these and no view by its name, so no route can show an image of another tenant. A query
that does not pass the parameter ``tenant`` fails.
"""

from typing import LiteralString

IMAGES: LiteralString = "(SELECT * FROM image_status WHERE tenant = %(tenant)s)"
CHANGES: LiteralString = "(SELECT * FROM image_changes WHERE tenant = %(tenant)s)"
TIMELINE: LiteralString = """(
    SELECT image_timeline.* FROM image_timeline
    WHERE EXISTS (SELECT FROM image_status WHERE id = image_timeline.image_id AND tenant = %(tenant)s)
)"""
