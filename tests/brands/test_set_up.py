from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from brands.models import Installation

pytestmark = pytest.mark.django_db


def cluster():
    with connection.cursor() as cursor:
        cursor.execute("SELECT system_identifier::text FROM pg_control_system()")
        return cursor.fetchone()[0]


def test_makes_a_real_installation_that_knows_its_cluster():
    call_command("set_up")
    made = Installation.objects.get()
    assert (made.is_sandbox, made.system_identifier) == (False, cluster())


def test_makes_a_sandbox_when_told_so(capsys):
    call_command("set_up", sandbox=True)
    made = Installation.objects.get()
    assert made.is_sandbox is True
    assert capsys.readouterr().out == f"Set up: a sandbox, {made.identity}.\n"


@pytest.mark.parametrize("sandbox", [True, False])
def test_says_what_is_there_when_it_is_run_again(capsys, sandbox):
    call_command("set_up", sandbox=sandbox)
    first = Installation.objects.get()
    call_command("set_up", sandbox=sandbox)
    assert Installation.objects.get() == first
    assert f"Already set up: {'a sandbox' if sandbox else 'a real'}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("sandbox", "words"),
    [(True, "a sandbox for ever.*wipe its database"), (False, "a real one for ever")],
    ids=["sandbox to real", "real to sandbox"],
)
def test_never_changes_what_an_installation_is(sandbox, words):
    call_command("set_up", sandbox=sandbox)
    with pytest.raises(CommandError, match=words):
        call_command("set_up", sandbox=not sandbox)
    assert Installation.objects.get().is_sandbox is sandbox


def test_notes_the_cluster_where_nobody_did_before(capsys):
    Installation.objects.create(is_sandbox=True)
    call_command("set_up", sandbox=True)
    assert Installation.objects.get().system_identifier == cluster()
    assert capsys.readouterr().err == ""


def test_leaves_another_cluster_to_a_person(capsys):
    Installation.objects.create(is_sandbox=True, system_identifier="7")
    call_command("set_up", sandbox=True)
    assert Installation.objects.get().system_identifier == "7"
    assert "confirm_database" in capsys.readouterr().err


def test_goes_without_the_cluster_where_it_may_not_be_read():
    with connection.cursor() as cursor:
        cursor.execute(
            "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC;"
            "CREATE ROLE guarded; GRANT ALL ON brands_installation TO guarded;"
            "SET LOCAL ROLE guarded"
        )
        call_command("set_up")
        assert Installation.objects.get().system_identifier == ""
        cursor.execute("RESET ROLE")


def test_says_when_the_tables_are_missing():
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE brands_installation RENAME TO elsewhere")
    with pytest.raises(CommandError, match=r"run manage\.py migrate"):
        call_command("set_up")
