"""The log-in of the admin: says what to do to whom it turns away."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from unfold.forms import AuthenticationForm

from brands.models import Membership

PARTNER = "Partners come with an API key, not with a password: ask your contact for one."
NO_ROLE = "This user has no role for any brand yet: ask whoever manages the users."


class LogInForm(AuthenticationForm):  # type: ignore[misc] # Unfold's classes carry no types
    """Django says the same of a wrong password and of a user without a role; they are not."""

    def confirm_login_allowed(self, user: AbstractBaseUser) -> None:
        super(AuthenticationForm.__mro__[1], self).confirm_login_allowed(user)
        if not getattr(user, "is_staff", False):
            is_partner = Membership.objects.filter(user_id=user.pk).exists()
            raise ValidationError(PARTNER if is_partner else NO_ROLE, code="no_role")
