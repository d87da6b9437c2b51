"""The ledger: entries are added, and a change of any line shows."""

import json
import multiprocessing

import pytest
from penstock_migrations._proving.ledger import BrokenLedgerError, append, check


@pytest.fixture
def ledger(tmp_path):
    """A ledger of three entries."""
    file = tmp_path / "reports" / "ledger.jsonl"
    for number in range(3):
        append(file, {"verdict": "pass", "number": number, "text": "größer"})
    return file


def lines(ledger):
    return ledger.read_bytes().splitlines(keepends=True)


def test_each_entry_carries_the_hash_of_the_one_before(ledger):
    """So none can be changed without changing all after it."""
    entries = [json.loads(line) for line in lines(ledger)]

    assert [entry["number"] for entry in entries] == [0, 1, 2]
    assert [entry["previous"] for entry in entries[1:]] == [entry["hash"] for entry in entries[:-1]]
    assert check(ledger) == 3


@pytest.mark.parametrize(
    ("damage", "line", "reason"),
    [
        (lambda all_: [all_[0].replace(b"pass", b"fail"), *all_[1:]], 1, "was changed"),
        (lambda all_: [all_[0], all_[2]], 2, "does not follow"),
        (lambda all_: [all_[1], all_[0], all_[2]], 1, "does not follow"),
        (lambda all_: [*all_[:2], b"{}\n"], 3, "is no entry"),
        (lambda all_: [*all_[:2], b"[1]\n"], 3, "is no entry"),
        (lambda all_: [*all_[:2], b"\xff\n"], 3, "is no entry"),
        (lambda all_: [*all_[:2], all_[2][:-9]], 3, "is cut off"),
    ],
    ids=["changed", "removed", "swapped", "forged", "no-object", "no-text", "cut"],
)
def test_a_broken_chain_names_its_line_and_takes_no_more(ledger, damage, line, reason):
    """Whatever was done to it."""
    damaged = b"".join(damage(lines(ledger)))
    ledger.write_bytes(damaged)

    with pytest.raises(BrokenLedgerError, match=f"line {line}: {reason}") as caught:
        append(ledger, {"verdict": "pass"})

    assert caught.value.line == line
    assert ledger.read_bytes() == damaged


def test_a_missing_ledger_is_empty(tmp_path):
    """The first judgement begins it."""
    assert check(tmp_path / "none") == 0


def add_some(file):
    for number in range(20):
        append(file, {"number": number})


def test_processes_that_add_at_once_keep_the_chain(tmp_path):
    """Each waits for the other's line."""
    file = tmp_path / "ledger.jsonl"
    processes = [multiprocessing.get_context("spawn").Process(target=add_some, args=(file,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert check(file) == 60
