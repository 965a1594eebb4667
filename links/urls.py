"""Short links stand at the root of the brands' short domains."""

from __future__ import annotations

from django.urls import re_path

from links import codes, views

CODE = rf"^(?P<code>[{codes.ALPHABET.decode()}]{{{codes.LENGTH}}})\Z"

urlpatterns = [re_path(CODE, views.follow, name="follow")]
