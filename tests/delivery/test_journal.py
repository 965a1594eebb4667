from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest

from delivery import journal

ROOT = Path(__file__).parents[2]
OURS, THEIRS = "installation-1", "installation-2"
A, B, C = (letter * 21 + "-" for letter in "ABC")

# A process that writes what it is told, one statement a line on its standard input.
CHILD = """
import sys
from pathlib import Path
from delivery.journal import CannotWrite, Journal
journal = Journal.open(Path(sys.argv[1]), sys.argv[2])
for statement in sys.stdin:
    exec(statement)
    print("done", flush=True)
"""


class Child:
    """Another process with a journal open."""

    def __init__(self, directory, installation=OURS):
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, directory, installation],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.run("pass")

    def run(self, *statements):
        for statement in statements:
            self.process.stdin.write(f"{statement}\n")
            self.process.stdin.flush()
            assert self.process.stdout.readline() == "done\n"

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()


@pytest.fixture
def child(tmp_path):
    child = Child(tmp_path)
    yield child
    child.kill()


@pytest.fixture
def opened(tmp_path):
    with journal.Journal.open(tmp_path, OURS) as opened:
        yield opened


def dead(directory, *lines, installation=OURS):
    """The file of a journal that was never settled, with these bytes after its header."""
    with journal.Journal.open(directory, installation) as ended:
        pass
    with ended.path.open("ab") as file:
        file.writelines(lines)
    return ended.path


def line(text):
    return journal._line(text)


def pasts(directory):
    return [held.past for held in journal.abandoned(directory, OURS)]


class TestWhatAJournalTells:
    def test_of_a_request_that_left_and_came_back(self, opened):
        opened.leaving(A)
        opened.leaving(B)
        opened.came_back({A: 'accepted {"id": "SM1 2"}'})
        past = journal.read(opened.path)
        assert past.left == {A, B}
        assert past.outcomes == {A: 'accepted {"id": "SM1 2"}'}
        assert past.unanswered == {B}

    def test_of_many_messages_in_one_request(self, opened):
        opened.leaving(A, B, C)
        assert journal.read(opened.path).left == {A, B, C}

    def test_of_the_batch_that_is_being_decided(self, opened):
        opened.claimed([1, 2])
        opened.decided()
        opened.claimed([3, 2**40])
        assert journal.read(opened.path).undecided == (3, 2**40)

    def test_of_a_batch_that_is_decided(self, opened):
        opened.claimed([1, 2])
        opened.decided()
        assert journal.read(opened.path).undecided == ()

    def test_of_itself(self, opened):
        past = journal.read(opened.path)
        assert (past.sender, past.installation, past.same_boot) == (opened.sender, OURS, True)
        assert opened.path.name == f"{opened.sender}.journal"

    def test_of_its_age(self, opened):
        os.utime(opened.path, (1_000_000_000, 1_000_000_000))
        assert journal.read(opened.path).seconds_since_write > 500_000_000

    def test_of_lines_that_two_threads_wrote(self, opened):
        def send(letter):
            for number in range(500):
                opened.leaving(f"{letter}{number:021}")

        threads = [threading.Thread(target=send, args=(letter,)) for letter in "XY"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(journal.read(opened.path).left) == 1000


class TestRefusals:
    @pytest.mark.parametrize(
        "ref", ["", "A" * 21, "A" * 23, "A" * 21 + " ", "A" * 22 + "\n", "é" * 22], ids=repr
    )
    def test_what_is_no_ref_is_refused(self, opened, ref):
        with pytest.raises(ValueError):
            opened.leaving(A, ref)
        with pytest.raises(ValueError):
            opened.came_back({ref: "ok"})
        assert journal.read(opened.path).left == set()

    @pytest.mark.parametrize("outcome", ["a\nb", "a\x18", "a\udc00"], ids=ascii)
    def test_an_outcome_of_more_than_a_line_of_text_is_refused(self, opened, outcome):
        with pytest.raises(ValueError):
            opened.came_back({A: outcome})

    def test_a_closed_journal_cannot_be_written(self, opened):
        opened.close()
        with pytest.raises(journal.CannotWrite):
            opened.leaving(A)


class TestClosing:
    def test_leaves_what_is_not_settled_to_others(self, tmp_path):
        with journal.Journal.open(tmp_path, OURS) as ended:
            ended.leaving(A)
        assert [past.left for past in pasts(tmp_path)] == [{A}]

    def test_removes_what_is_settled(self, tmp_path):
        with journal.Journal.open(tmp_path, OURS) as ended:
            ended.leaving(A)
            ended.close(settled=True)
        assert list(tmp_path.iterdir()) == []

    def test_keeps_the_folder_to_its_owner(self, tmp_path):
        with journal.Journal.open(tmp_path / "new", OURS) as ended:
            assert ended.path.stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


class TestAProcessThatIsKilled:
    def test_leaves_all_that_it_wrote(self, tmp_path, child):
        child.run(
            "journal.claimed([7, 8])",
            "journal.decided()",
            f"journal.leaving({A!r})",
            f"journal.came_back({{{A!r}: 'accepted SM1'}})",
            f"journal.leaving({B!r})",
            "journal.claimed([9])",
        )
        child.kill()
        (past,) = pasts(tmp_path)
        assert past.left == {A, B}
        assert past.outcomes == {A: "accepted SM1"}
        assert past.undecided == (9,)
        assert past.same_boot

    def test_is_not_taken_for_dead_before(self, tmp_path, child):
        child.run(f"journal.leaving({A!r})")
        assert pasts(tmp_path) == []

    def test_is_not_taken_for_dead_by_itself(self, tmp_path, opened):
        assert pasts(tmp_path) == []

    def test_never_showed_its_file_without_a_lock(self, tmp_path, monkeypatch):
        seen = []
        write = journal.Journal._write

        def look_first(opening, text):
            seen.extend(pasts(tmp_path))
            write(opening, text)

        monkeypatch.setattr(journal.Journal, "_write", look_first)
        monkeypatch.setattr(Path, "rename", lambda old, new: (os.rename(old, new), look(new)))

        def look(path):
            seen.extend(pasts(tmp_path))
            assert journal.read(path).left == set()

        journal.Journal.open(tmp_path, OURS).close()
        assert seen == []


class TestSettling:
    def test_holds_a_file_against_a_second_reaper(self, tmp_path):
        dead(tmp_path, line(f"> {A}"))
        first = journal.abandoned(tmp_path, OURS)
        next(first)
        assert pasts(tmp_path) == []
        first.close()
        assert len(pasts(tmp_path)) == 1

    def test_lets_a_file_go_when_the_next_is_asked_for(self, tmp_path):
        dead(tmp_path)
        dead(tmp_path)
        both = journal.abandoned(tmp_path, OURS)
        one = next(both)
        next(both)
        assert [past.sender for past in pasts(tmp_path)] == [one.past.sender]
        both.close()

    def test_removes_a_file_when_told(self, tmp_path):
        dead(tmp_path)
        for held in journal.abandoned(tmp_path, OURS):
            held.remove()
        assert list(tmp_path.iterdir()) == []

    def test_passes_over_a_file_that_another_settled_after_it_was_opened(
        self, tmp_path, monkeypatch, caplog
    ):
        path = dead(tmp_path)
        lock = journal.fcntl.flock

        def settled_meanwhile(file, operation):
            path.unlink()
            lock(file, operation)

        monkeypatch.setattr(journal.fcntl, "flock", settled_meanwhile)
        assert (pasts(tmp_path), caplog.records) == ([], [])

    def test_of_a_folder_that_is_not_there_finds_nothing(self, tmp_path):
        assert pasts(tmp_path / "none") == []


class TestShortWrites:
    """A full disk, made by a limit on the size of the child's file."""

    def limit(self, child, room):
        child.run(
            "import os, resource",
            f"size = os.fstat(journal._descriptor).st_size + {room}",
            "resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))",
        )

    def lift(self, child):
        both = "(resource.RLIM_INFINITY, resource.RLIM_INFINITY)"
        child.run(f"resource.setrlimit(resource.RLIMIT_FSIZE, {both})")

    def cannot(self, child, statement):
        """Within one line, for the child runs lines."""
        child.run(
            "import pytest",
            f"with pytest.raises(CannotWrite): {statement}",
        )

    @pytest.mark.parametrize("room", [0, 1, 20, 33], ids="{} bytes left".format)
    def test_raise_and_the_request_counts_as_not_left(self, tmp_path, child, room):
        self.limit(child, room)
        self.cannot(child, f"journal.leaving({A!r})")
        child.kill()
        assert [past.left for past in pasts(tmp_path)] == [set()]

    def test_of_an_outcome_leave_the_request_unanswered(self, tmp_path, child):
        child.run(f"journal.leaving({A!r})")
        self.limit(child, len(line(f"< {A} accepted SM12345")) - 2)
        self.cannot(child, f"journal.came_back({{{A!r}: 'accepted SM12345'}})")
        child.kill()
        (past,) = pasts(tmp_path)
        assert (past.unanswered, past.outcomes) == ({A}, {})

    @pytest.mark.parametrize("room", [0, 1, 20, 33], ids="{} bytes left".format)
    def test_do_not_spoil_what_is_written_once_there_is_room_again(self, tmp_path, child, room):
        self.limit(child, room)
        self.cannot(child, f"journal.leaving({A!r})")
        self.cannot(child, f"journal.leaving({A!r})")
        self.lift(child)
        child.run(f"journal.leaving({B!r})", f"journal.came_back({{{B!r}: 'ok'}})")
        child.kill()
        (past,) = pasts(tmp_path)
        assert (past.left, past.outcomes) == ({B}, {B: "ok"})

    @pytest.mark.parametrize("more", [1, 2, 3, 30], ids="{} bytes more".format)
    def test_that_follow_each_other_spoil_nothing_either(self, tmp_path, child, more):
        self.limit(child, 20)
        self.cannot(child, f"journal.leaving({A!r})")
        self.limit(child, more)
        self.cannot(child, f"journal.leaving({A!r})")
        self.lift(child)
        child.run(f"journal.leaving({B!r})")
        child.kill()
        assert [past.left for past in pasts(tmp_path)] == [{B}]

    def test_of_the_first_line_leave_no_file(self, tmp_path, child):
        child.run("journal.close(settled=True)")
        child.run("import resource", "resource.setrlimit(resource.RLIMIT_FSIZE, (10, -1))")
        self.cannot(child, "Journal.open(Path(sys.argv[1]), sys.argv[2])")
        assert list(tmp_path.iterdir()) == []


class TestFilesThatAreNotTrusted:
    @pytest.fixture
    def refused(self, tmp_path, caplog):
        """Whether the one file in the folder is passed over with a warning, and kept."""

        def refused():
            before = sorted(tmp_path.iterdir())
            taken = pasts(tmp_path)
            warnings = [record.levelname for record in caplog.records]
            return (taken, warnings, sorted(tmp_path.iterdir())) == ([], ["WARNING"], before)

        return refused

    @pytest.mark.parametrize(
        "content",
        [b"", b"\n", b"hello\n", b"\0" * 400, line(""), line("7"), line("{}"), line('"form"')],
        ids=repr,
    )
    def test_no_journal_at_all(self, tmp_path, refused, content):
        (tmp_path / f"{uuid.uuid4()}.journal").write_bytes(content)
        assert refused()

    def test_a_folder_of_such_a_name(self, tmp_path, refused):
        (tmp_path / f"{uuid.uuid4()}.journal").mkdir()
        assert refused()

    def test_another_installations(self, tmp_path, refused):
        dead(tmp_path, installation=THEIRS)
        assert refused()

    def test_a_copy_under_another_name(self, tmp_path, refused):
        path = dead(tmp_path)
        path.rename(tmp_path / f"{uuid.uuid4()}.journal")
        assert refused()

    @pytest.mark.parametrize(
        "damage",
        [b"\0" * 40 + b"\n", line(f"> {B}").replace(b"B", b"C", 1), line(f"> {B}")[:20] + b"\n"],
        ids=["zeros", "another letter", "a cut that we did not make"],
    )
    def test_one_that_is_damaged(self, tmp_path, refused, damage):
        dead(tmp_path, line(f"> {A}"), damage, line(f"< {A} ok"))
        assert refused()

    def test_one_with_lines_of_a_later_version(self, tmp_path, refused):
        dead(tmp_path, line(f"> {A}"), line("later"))
        assert refused()

    def test_one_of_another_form(self, tmp_path, refused, monkeypatch):
        with monkeypatch.context() as later:
            later.setattr(journal, "FORM", "sendonce journal 2")
            dead(tmp_path)
        assert refused()

    def test_none_keeps_the_next_from_being_found(self, tmp_path):
        (tmp_path / "0.journal").write_bytes(b"")
        dead(tmp_path)
        assert len(pasts(tmp_path)) == 1

    def test_other_files_are_not_looked_at(self, tmp_path, caplog):
        (tmp_path / "notes.txt").write_text("hello")
        assert (pasts(tmp_path), caplog.records) == ([], [])


class TestAfterAReboot:
    @pytest.fixture
    def rebooted(self, monkeypatch):
        return lambda: monkeypatch.setattr(journal, "boot_id", lambda: "the next boot")

    def test_a_missing_line_proves_nothing(self, tmp_path, rebooted):
        dead(tmp_path, line(f"> {A}"))
        rebooted()
        (past,) = pasts(tmp_path)
        assert (past.same_boot, past.left) == (False, {A})

    def test_what_can_still_be_read_is_told(self, tmp_path, rebooted):
        dead(tmp_path, line(f"> {A}"), b"\0" * 40 + b"\n", line(f"< {A} ok"), b"\0" * 40)
        rebooted()
        assert [past.outcomes for past in pasts(tmp_path)] == [{A: "ok"}]

    def test_a_machine_that_cannot_name_its_boot_never_has_the_same(self, tmp_path, monkeypatch):
        monkeypatch.setattr(journal, "boot_id", lambda: "")
        dead(tmp_path)
        assert [past.same_boot for past in pasts(tmp_path)] == [False]

    def test_this_machine_has_a_name_for_its_boot(self):
        assert len(journal.boot_id()) >= 32
