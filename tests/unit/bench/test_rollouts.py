"""Which musts a benchmark of rollouts misses, and what its table and page say."""

from __future__ import annotations

import msgspec
import pytest
from tests.bench.rolling import report, rows

BACK = rows.Run(end=rows.End.ROLLED_BACK, reason="ErrorsRegressed", verdict=3.0, off=4.0, asked=20, seen=21)
PROMOTED = rows.Run(end=rows.End.PROMOTED, reason="Promoted", verdict=130.0, asked=20, seen=19)
HELD = rows.Run(end=rows.End.HELD, reason="StableAlsoBreaching")
BROKEN = rows.Run(end=rows.End.BROKEN, reason="no good answer")
ROWS = {row.name: row for row in rows.ROWS}


def back(seconds: float) -> rows.Run:
    return msgspec.structs.replace(BACK, verdict=seconds, off=seconds)


def missed(name: str, *runs: rows.Run) -> list[str]:
    return rows.missed(ROWS[name], runs)


def test_a_dead_version_must_be_off_within_five_seconds_in_every_run():
    assert missed("dead", back(2), back(5)) == []
    assert missed("dead", back(2), back(2), back(5.1)) == ["weight 0 after 5.1 s at worst, must 5 s"]


def test_a_dead_version_that_stays_misses_both_its_end_and_its_time():
    first, second = missed("dead", back(2), PROMOTED)
    assert first == "1 of 2 promoted (Promoted)"
    assert "after inf s" in second


def test_a_worse_version_is_held_to_the_median_alone():
    assert missed("worse", back(10), back(20), back(90)) == []
    assert missed("worse", back(10), back(31), back(90)) == ["verdict after 31.0 s in the median, must 30 s"]


def test_an_outage_may_neither_convict_nor_promote():
    assert missed("outage", HELD, HELD) == []
    assert missed("outage", HELD, BACK) == ["1 of 2 rolled back (ErrorsRegressed)"]
    assert missed("outage", PROMOTED) == ["1 of 1 promoted (Promoted)"]


@pytest.mark.parametrize("name", ["healthy", "quiet"])
def test_a_healthy_version_is_never_rolled_back(name):
    assert missed(name, PROMOTED, HELD) == []
    assert missed(name, PROMOTED, back(50)) == ["1 of 2 rolled back (ErrorsRegressed)"]


@pytest.mark.parametrize("name", ROWS)
def test_a_run_that_could_not_be_made_keeps_no_must(name):
    assert any("broken (no good answer)" in text for text in missed(name, BROKEN))


def test_a_lost_request_misses_whatever_the_end():
    assert missed("dead", msgspec.structs.replace(BACK, lost=2)) == ["2 requests lost"]


def test_where_failures_are_covered_no_client_may_see_one():
    clean = msgspec.structs.replace(back(2), errors=0, covered=40, asked=10, seen=10.9, counted=1000)
    failed = msgspec.structs.replace(clean, errors=1)
    assert missed("dead-tenth", clean) == []
    assert missed("dead-tenth", failed) == ["1 errors of the candidate served"]
    assert missed("dead-service", failed) == missed("dead-gateway", failed) == []


@pytest.mark.parametrize(
    ("seen", "counted", "wrong"), [(12.8, 1000, 0), (12.9, 1000, 1), (30.0, 999, 0), (9.1, 9000, 0)]
)
def test_an_exact_share_differs_from_what_was_asked_by_chance_only(seen, counted, wrong):
    run = msgspec.structs.replace(PROMOTED, asked=10, seen=seen, counted=counted)
    assert len(missed("healthy-gateway", run)) == wrong
    assert not missed("healthy-service", run)


def test_the_table_shows_median_worst_and_share():
    runs = [msgspec.structs.replace(back(took), seen=seen, errors=20) for took, seen in ((2, 15), (3, 20), (9, 31))]
    [line] = report.lines([(ROWS["dead-service"], runs)])
    shown = dict(zip(report.HEADINGS, line, strict=True))
    assert (shown["median s"], shown["worst s"], shown["runs"]) == ("3.0", "9.0", "3")
    assert shown["share asked / seen"] == "20 % / 20 % (15 to 31)"
    assert (shown["became of it"], shown["errors served"], shown[""]) == ("3 rolled back", "20, at most 20", "MISSED")


def test_a_case_without_a_verdict_shows_no_seconds():
    [line] = report.lines([(ROWS["outage"], [HELD])])
    shown = dict(zip(report.HEADINGS, line, strict=True))
    assert (shown["median s"], shown["worst s"]) == ("-", "-")


def test_the_page_says_how_it_was_made_and_what_was_missed():
    about = report.Circumstances(
        command="python -m tests.bench rollouts",
        date="2026-01-02",
        machine="a machine",
        minutes=20,
        load=1.5,
        side_by_side=5,
    )
    page = report.document([(ROWS["dead"], [back(9)])], about)
    assert "on 2026-01-02, as `python -m tests.bench rollouts`" in page
    assert "- **missed** dead: weight 0 after 9.0 s at worst" in page
    assert "Every must was kept." in report.document([(ROWS["dead"], [back(1)])], about)
