"""Who may do what for which brand: the one place that every page, the API and reports ask.

A superuser may do everything. Anybody else may do what their role allows, for the brands they are a
member of, and never anything that belongs to the whole installation.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Any, TypeVar

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db.models import Exists, Model, OuterRef, QuerySet

from brands.models import Brand, Membership

M = TypeVar("M", bound=Model)
Visitor = AbstractBaseUser | AnonymousUser
Role = Membership.Role


class Ability(Enum):
    """What a role may do for its brand."""

    FIGURES = auto()  # counts: the index, report pages
    ROWS = auto()  # what the counts count: campaigns, messages; phone numbers masked
    PEOPLE = auto()  # whole phone numbers, and what people write
    SEND = auto()  # set up, start, pause and resume campaigns, take in leads
    MANAGE = auto()  # the brand itself: its settings, routes, numbers and keys
    OWN = auto()  # the installation: accounts, users, rules, stop-all; superusers only


MAY: dict[str, frozenset[Ability]] = {
    Role.ADMIN: frozenset(Ability) - {Ability.OWN},
    Role.MARKETER: frozenset({Ability.FIGURES, Ability.ROWS, Ability.PEOPLE, Ability.SEND}),
    Role.ANALYST: frozenset({Ability.FIGURES, Ability.ROWS}),
    Role.PARTNER: frozenset(),  # partners come with a key, not with a password
}


def brand_ids(user: Visitor, ability: Ability) -> frozenset[int] | None:
    """The brands for which the user has the ability; None means every brand there is."""
    if not user.is_active:
        return frozenset()
    if getattr(user, "is_superuser", False):
        return None
    return frozenset(brand for brand, role in _roles(user).items() if ability in MAY[role])


def _roles(user: Visitor) -> dict[int, str]:
    """Read once for each request: the user object lives no longer."""
    if user.pk is None:
        return {}
    if "_roles" not in user.__dict__:
        rows = Membership.objects.filter(user_id=user.pk).values_list("brand_id", "role")
        user.__dict__["_roles"] = dict(rows)
    roles: dict[int, str] = user.__dict__["_roles"]
    return roles


def may(user: Visitor, ability: Ability, brand_id: int | None) -> bool:
    """Whether the user has the ability for this brand; for None, only who owns everything."""
    ids = brand_ids(user, ability)
    return ids is None or brand_id in ids


def may_anywhere(user: Visitor, ability: Ability) -> bool:
    """Whether there can be a brand for which the user has the ability."""
    ids = brand_ids(user, ability)
    return ids is None or bool(ids)


def brands(user: Visitor, ability: Ability) -> QuerySet[Brand]:
    """The brands for which the user has the ability, by name; retired ones too."""
    return visible(Brand.objects.order_by("name"), user, ability, path="pk")


def visible(rows: QuerySet[M], user: Visitor, ability: Ability, *, path: str | None) -> QuerySet[M]:
    """Those rows whose brand, found along `path`, is one for which the user has the ability.

    A path of None leads to no brand: such rows are the installation's. A path that ends in `__many`
    goes through rows of which there are many; each row is found once.
    """
    ids = brand_ids(user, ability)
    if ids is None:
        return rows
    if path is None:
        return rows.none()
    if not path.endswith("__many"):
        return rows.filter(**{f"{path}__in": ids})
    lookup = {"pk": OuterRef("pk"), f"{path.removesuffix('__many')}__in": ids}
    return rows.filter(Exists(rows.model._default_manager.filter(**lookup)))


def brand_id_of(row: Any, path: str) -> int | None:
    """The brand of one row along a path such as `campaign__brand`; None where there is none."""
    *way, last = path.split("__")
    for name in way:
        row = getattr(row, name, None)
    name = last if last == "pk" or last.endswith("_id") else f"{last}_id"
    found = getattr(row, name, None)
    return found if isinstance(found, int) else None


def opens_admin(user: User) -> bool:
    """Whether the user may log in to the admin: who may do something there, and partners not."""
    roles = Membership.objects.filter(user_id=user.pk)
    return user.is_superuser or any(MAY[role] for role in roles.values_list("role", flat=True))


def settle_log_in(user_id: int) -> None:
    """Let a user's log-in follow from their roles; call it whenever these have changed."""
    for user in User.objects.filter(pk=user_id):
        User.objects.filter(pk=user_id).update(is_staff=opens_admin(user))


def is_last_owner(user: User) -> bool:
    """Whether nobody but this user may do everything."""
    owners = User.objects.filter(is_superuser=True, is_active=True)
    return owners.filter(pk=user.pk).exists() and not owners.exclude(pk=user.pk).exists()


def masked(address: str | None) -> str:
    """A phone number or e-mail address for those who may not read it whole."""
    if not address:
        return ""
    name, at, domain = address.partition("@")
    return f"{name[:1]}•••{at}{domain}" if at else f"{address[:5]}•••{address[-2:]}"


def shown(user: Visitor, address: str | None, brand_id: int | None) -> str:
    """The address, masked unless the user may read those of this brand's people."""
    return (address or "") if may(user, Ability.PEOPLE, brand_id) else masked(address)
