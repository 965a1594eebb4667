"""check_ledger and verify as they are run."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from delivery.models import Attempt, Message
from reporting.oracle import checks
from tests.reporting.world import World, raw

pytestmark = pytest.mark.django_db

CHECKS = ["O1", "O2", "O3", "O4", "O5", "O6", "O7", "O8", "O9", "O11", "O12"]


@pytest.fixture
def world() -> World:
    return World()


def called(name: str, *arguments: object) -> tuple[int, list[str]]:
    """Exit code and lines."""
    out, code = StringIO(), 0
    try:
        call_command(name, *map(str, arguments), stdout=out)
    except SystemExit as end:
        code = int(end.code)
    return code, out.getvalue().splitlines()


class TestCheckLedger:
    def test_a_clean_world_is_one_line_a_check_and_ends_with_0(self, world, tmp_path):
        code, lines = called("check_ledger", "--ledger", world.write(tmp_path))
        assert code == 0
        assert lines[0] == "ledger: 3 requests, 3 taken by providers"
        assert [line.split()[0] for line in lines[1:]] == CHECKS
        assert all(line.endswith(" ok") for line in lines[1:])

    def test_a_problem_ends_with_1_and_tells_ids_only(self, world, tmp_path):
        world.request(world.messages[0])
        code, lines = called("check_ledger", "--ledger", world.write(tmp_path))
        told = "\n".join(lines)
        assert code == 1
        assert f"taken more than once: 1 (message {world.messages[0].pk}, times 2)" in told
        assert "+1212" not in told
        assert "Job" not in told

    def test_the_json_says_the_same(self, world, tmp_path):
        world.requests[0]["provider_ref"] = "SMother"
        results = tmp_path / "results.json"
        called("check_ledger", "--ledger", world.write(tmp_path), "--json", results)
        told = json.loads(results.read_text())
        attempt = world.messages[0].attempts.get()
        assert told["ok"] is False
        assert told["ledger"] == {"requests": 3, "taken": 3, "callbacks": 0, "torn": 0}
        assert [check["id"] for check in told["checks"] if check["problems"]] == ["O3"]
        assert told["checks"][2]["found"][0]["examples"] == [
            {"message": attempt.message_id, "attempt": attempt.pk}
        ]

    @pytest.mark.parametrize(("limit", "shown"), [(0, 0), (2, 2), (5, 3)])
    def test_as_many_examples_are_shown_as_asked_for(self, world, tmp_path, limit, shown):
        world.requests.clear()
        _, lines = called(
            "check_ledger", "--ledger", world.write(tmp_path), "--limit-examples", limit
        )
        assert sum(line.count("attempt ") for line in lines) == shown

    def test_callbacks_are_counted(self, world, tmp_path):
        world.send(status="delivered")
        _, lines = called("check_ledger", "--ledger", world.write(tmp_path))
        assert lines[0] == "ledger: 4 requests, 4 taken by providers, 1 callbacks"

    def test_a_torn_line_is_told(self, world, tmp_path):
        path = world.write(tmp_path)
        path.write_text(path.read_text() + '{"seq": 4, "rec')
        code, lines = called("check_ledger", "--ledger", path)
        assert (code, lines[0]) == (0, "ledger: 3 requests, 3 taken by providers, 1 cut off")

    def test_nothing_is_changed(self, world, tmp_path):
        before = list(Attempt.objects.values())
        called("check_ledger", "--ledger", world.write(tmp_path))
        assert list(Attempt.objects.values()) == before

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            pytest.param(None, "No such file or directory", id="no file"),
            pytest.param("oops\n", "line 1 is not JSON", id="not a ledger"),
        ],
    )
    def test_a_bad_ledger_is_told_in_a_sentence(self, tmp_path, content, says):
        path = tmp_path / "ledger.jsonl"
        if content is not None:
            path.write_text(content)
        with pytest.raises(CommandError, match=f"The ledger cannot be used: .*{says}"):
            called("check_ledger", "--ledger", path)

    def test_a_folder_is_no_ledger(self, tmp_path):
        with pytest.raises(CommandError, match="Is a directory"):
            called("check_ledger", "--ledger", tmp_path)

    def test_an_empty_ledger_is_held_against_what_we_recorded(self, world, tmp_path):
        world.requests.clear()
        code, lines = called("check_ledger", "--ledger", world.write(tmp_path))
        assert code == 1
        assert lines[0] == "ledger: 0 requests, 0 taken by providers"
        assert any("no provider took it: 3" in line for line in lines)

    @pytest.mark.parametrize("text", ["-1", "x", ""])
    def test_a_bad_number_of_examples_is_refused(self, tmp_path, text):
        with pytest.raises(CommandError, match="is not a whole number of 0 or more"):
            called("check_ledger", "--ledger", tmp_path, f"--limit-examples={text}")

    def test_a_json_file_that_cannot_be_written_is_told(self, world, tmp_path):
        path = tmp_path / "nowhere" / "results.json"
        with pytest.raises(CommandError, match="cannot be written: No such file"):
            called("check_ledger", "--ledger", world.write(tmp_path), "--json", path)

    def test_a_database_that_is_not_set_up_is_told(self, world, tmp_path):
        path = world.write(tmp_path)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL search_path TO pg_temp")
        with pytest.raises(CommandError, match="run the migrations first"):
            called("check_ledger", "--ledger", path)


class TestVerify:
    @pytest.mark.django_db(transaction=True)
    def test_a_connection_that_ends_is_told(self, monkeypatch):
        last_words = checks.sql("x", "SELECT pg_terminate_backend(pg_backend_pid()) AS message")
        ended = (checks.Check("X1", "x", (last_words,)),)
        monkeypatch.setattr("reporting.oracle.answers.WITHOUT_LEDGER", ended)
        with pytest.raises(CommandError, match="cannot be reached, or ended the connection"):
            called("verify")
        connection.close()

    def test_a_clean_database_ends_with_0(self, world):
        code, lines = called("verify")
        assert code == 0
        assert [line.split()[0] for line in lines] == ["O1", "O4", "O5", "O7", "O9", "O11", "O12"]
        assert all(line.endswith(" ok") for line in lines)

    def test_a_problem_ends_with_1(self, world):
        raw("UPDATE delivery_message SET status = 'planned' WHERE id = %s", [world.messages[0].pk])
        code, lines = called("verify")
        assert code == 1
        assert any(line.startswith("     - planned without a due row: 1") for line in lines)

    def test_it_cannot_write(self, world, monkeypatch):
        def write(*_: object):
            Message.objects.update(reason="")
            yield from ()

        monkeypatch.setattr("reporting.oracle.checks.run", write)
        with pytest.raises(Exception, match="read-only transaction"):
            called("verify")

    @pytest.mark.parametrize("option", ["--days=0", "--statement-seconds=0"])
    def test_a_bad_number_is_refused(self, option):
        with pytest.raises(CommandError, match="is not a whole number of 1 or more"):
            called("verify", option)

    def test_the_json_has_no_ledger(self, world, tmp_path):
        called("verify", "--json", tmp_path / "results.json")
        told = json.loads((tmp_path / "results.json").read_text())
        assert told["ok"] is True
        assert "ledger" not in told
