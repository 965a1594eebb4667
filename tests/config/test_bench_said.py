from __future__ import annotations

import json
from pathlib import Path

from config.bench_said import said_in


def line(claimed: int, event: str = "batch decided", **said: int) -> str:
    entry = {"claimed": claimed, "intents": claimed, "said": said, "event": event, "level": "info"}
    return json.dumps(entry) + "\n"


def test_what_all_workers_said_is_summed_up(tmp_path: Path):
    (tmp_path / "send-1.log").write_text(line(500, opted_out=3) + line(20, person_limit=1))
    (tmp_path / "replies.log").write_text(line(5, opted_out=1))
    said = said_in(tmp_path)
    assert (said.batches, said.claimed) == (3, 525)
    assert said.reasons == {"opted_out": 4, "person_limit": 1}


def test_other_lines_are_passed_over(tmp_path: Path):
    cut_off = line(7, opted_out=7)[:40]
    other = line(7, event="the line names a batch decided elsewhere", opted_out=7)
    (tmp_path / "send-1.log").write_text(f"Traceback\n{other}{line(1)}{cut_off}")
    said = said_in(tmp_path)
    assert (said.batches, said.claimed, said.reasons) == (1, 1, {})


def test_without_logs_nothing_was_said(tmp_path: Path):
    assert said_in(tmp_path / "none").batches == 0
