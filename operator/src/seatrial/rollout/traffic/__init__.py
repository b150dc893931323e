"""Who gets requests: the seam between what status asks for and what routes them.

A provider turns a status into objects and says from what is observed whether they are in force. It alone knows how a
share is made; nobody else looks at selectors, routes or endpoints. One provider so far: `service`.
"""

from __future__ import annotations

from .service import capacity as pods_needed
from .service import drained, in_force, objects, off, routed

__all__ = ["drained", "in_force", "objects", "off", "pods_needed", "routed"]
