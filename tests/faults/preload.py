"""Sets Django up in a new process; whoever needs models there imports this first."""

from __future__ import annotations

import django
from django.apps import apps

if not apps.ready:
    django.setup()
