"""What other packages put into the admin and we do not want there."""

from __future__ import annotations

from django.contrib import admin
from django_rq.models import Dashboard

# Any member of staff could clear our queues on it; they are looked at with `rq info`.
admin.site.unregister(Dashboard)
