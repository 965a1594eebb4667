"""The log-in of the admin: says what to do to whom it turns away."""

from __future__ import annotations

from django.contrib.auth.forms import AuthenticationForm as DjangosForm
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from unfold.forms import AuthenticationForm

from brands.models import Membership

PARTNER = "Partners come with an API key, not with a password: ask your contact for one."
NO_ROLE = "This user has no role for any brand yet: ask whoever manages the users."


class LogInForm(AuthenticationForm):  # type: ignore[misc] # Unfold's classes carry no types
    """Django says the same of a wrong password and of a user without a role; they are not."""

    def confirm_login_allowed(self, user: User) -> None:
        DjangosForm.confirm_login_allowed(self, user)
        if not user.is_staff:
            is_partner = Membership.objects.filter(user_id=user.pk).exists()
            raise ValidationError(PARTNER if is_partner else NO_ROLE, code="no_role")
