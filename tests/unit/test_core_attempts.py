"""The failed attempts of a delivery, as they are kept."""

from __future__ import annotations

from gateway.core.attempts import KEPT, Attempt, Failed, Failures, line, read


def test_an_attempt_reads_back_as_it_was_written() -> None:
    said = line(1_700_000_000.125, "throttled", "QUOTA_EXCEEDED")
    assert read(1, said) == Failures(
        1, (Attempt(1_700_000_000.125, "throttled", "QUOTA_EXCEEDED"),)
    )


def test_a_word_is_kept_with_blanks_and_in_one_line() -> None:
    said = line(1.0, "misconfigured", "HTTP 403\nSomething \0 else" + "x" * 500)
    (attempt,) = read(1, said).last
    assert attempt.word.startswith("HTTP 403 Something   else")
    assert len(said) < 160


def test_what_a_store_cut_off_is_not_read() -> None:
    said = "".join(line(float(n), "unavailable", "UNAVAILABLE") for n in range(100, 0, -1))[:KEPT]
    found = read(100, said)
    assert found.count == 100
    assert 8 <= len(found.last) <= 30
    assert [one.at for one in found.last] == [100.0 - n for n in range(len(found.last))]


def test_what_is_broken_is_left_out_and_what_was_told_twice_counts_once() -> None:
    good = line(5.0, "unavailable", "UNAVAILABLE")
    assert read(3, good + "nonsense\n" + good).last == (Attempt(5.0, "unavailable", "UNAVAILABLE"),)
    assert read(0, "").last == ()


def test_attempts_between_two_flushes_become_one_row_newest_first() -> None:
    earlier = Failed("msg_1", 0, 7, 1, line(1.0, "unavailable", "A"), "mary")
    later = Failed("msg_1", 0, 7, 1, line(2.0, "throttled", "B"), "mary")
    both = later.before(earlier.before(None))
    assert both.failures == 2
    assert [one.word for one in read(2, both.said).last] == ["B", "A"]


def test_what_one_flush_holds_is_bounded() -> None:
    both: Failed | None = None
    for n in range(1_000):
        both = Failed("msg_1", 0, 7, 1, line(float(n), "unavailable", "A")).before(both)
    assert both is not None
    assert (both.failures, len(both.said)) == (1_000, KEPT)
