"""Which outcome leads to another attempt, which to a quarantine, and which stops the run."""

from dataclasses import dataclass

import pytest

from pipelines.crew.crews import Ended, Told
from pipelines.crew.schedules import Finished, Retries, Running, Split, run_errands
from pipelines.crew.worker import Died, Done, Outcome, Raised
from pipelines.errors import SSTrackError


class Busy(Exception):
    """What an errand of this crew raises to be tried again."""


RETRIES = Retries(again=Busy, attempts=3, wait_s=0, deaths=2)


class Crashes:
    """A count that lives as long as this object."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def one_more(self, label: str) -> int:
        self.counts[label] = self.counts.get(label, 0) + 1
        return self.counts[label]


@dataclass(frozen=True)
class Errand:
    label: str
    weight: float = 1.0


class Script:
    """A crew whose errands end as a script says: label to outcomes, one per attempt."""

    def __init__(self, size: int, outcomes: dict[str, list[Outcome]]) -> None:
        self.size = size
        self.started: list[str] = []
        self._outcomes = {label: iter(each) for label, each in outcomes.items()}
        self._news: list[Told | Ended] = []

    def start(self, number: int, errand: Errand) -> None:
        self.started.append(errand.label)
        self._news += [Told(number, "decode", 7.0), Ended(number, next(self._outcomes[errand.label]))]

    def news(self, patience: float) -> list[Told | Ended]:
        news, self._news = self._news, []
        assert len([item for item in news if isinstance(item, Ended)]) <= self.size
        return news


@pytest.fixture
def crashes() -> Crashes:
    return Crashes()


def ends(script: Script, errands: list[Errand], crashes: Crashes) -> dict[str, Finished]:
    seen: list[Running] = []
    return {end.errand.label: end for end in run_errands(errands, script, RETRIES, seen.extend, crashes)}


def test_the_largest_begin_first_and_every_errand_ends_once(crashes: Crashes) -> None:
    errands = [Errand(str(size), size) for size in (3, 9, 1, 7)]
    script = Script(2, {errand.label: [Done(errand.weight)] for errand in errands})
    assert {label: end.value for label, end in ends(script, errands, crashes).items()} == {
        "3": 3,
        "9": 9,
        "1": 1,
        "7": 7,
    }
    assert script.started == ["9", "7", "3", "1"]


def test_transient_errors_are_tried_again_so_often_and_no_more(crashes: Crashes) -> None:
    away = Raised(Busy("no answer"), "")
    script = Script(1, {"later": [away, away, Done(1)], "never": [away] * 3})
    finished = ends(script, [Errand("later"), Errand("never")], crashes)
    assert finished["later"].value == 1
    assert (finished["never"].reason, finished["never"].detail) == ("given_up", "no answer (3 attempts)")
    assert crashes.counts == {}


def test_an_errand_that_kills_two_workers_is_set_aside_and_the_others_go_on(crashes: Crashes) -> None:
    death = Died("crashed", "killed by SIGSEGV", "the id")
    script = Script(1, {"bad": [death, death], "good": [Done(1)], "once": [death, Done(2)]})
    finished = ends(script, [Errand("bad"), Errand("good"), Errand("once")], crashes)
    assert finished["bad"].reason == "crashed" and finished["bad"].subject == "the id"
    assert (finished["good"].value, finished["once"].value) == (1, 2)
    assert crashes.counts == {"bad": 2, "once": 1}


def test_deaths_counted_before_the_errands_began_count(crashes: Crashes) -> None:
    crashes.one_more("bad")
    script = Script(1, {"bad": [Died("memory", "too much")]})
    assert ends(script, [Errand("bad")], crashes)["bad"].reason == "memory"


def test_a_fault_in_our_code_counts_as_a_crash_of_its_source(crashes: Crashes) -> None:
    fault = Raised(KeyError("x"), "Traceback …")
    finished = ends(Script(1, {"odd": [fault, fault]}), [Errand("odd")], crashes)
    assert finished["odd"].reason == "crashed" and "KeyError: 'x'" in finished["odd"].detail


def test_a_full_disk_stops_everything(crashes: Crashes) -> None:
    script = Script(1, {"a": [Raised(SSTrackError("no space left"), "")], "b": [Done(1)]})
    with pytest.raises(SSTrackError, match="no space left"):
        ends(script, [Errand("a", 2), Errand("b")], crashes)
    assert script.started == ["a"]


def test_a_split_errand_ends_once_with_what_its_last_step_gives(crashes: Crashes) -> None:
    parts, last = (Errand("film", 2.0), Errand("film2", 2.0)), Errand("join")
    split: list[Outcome] = [Done(Split(parts, last))]
    script = Script(2, {"long": split, "film": [Done(1)], "film2": [Done(2)], "join": [Done(3)], "other": [Done(4)]})
    finished = ends(script, [Errand("long", 9), Errand("other", 1)], crashes)
    assert {label: end.value for label, end in finished.items()} == {"long": 3, "other": 4}
    assert sorted(finished["long"].pieces) == [1, 2]
    assert script.started.index("join") > max(script.started.index("film"), script.started.index("film2"))


def test_a_part_that_kills_its_workers_ends_the_whole_errand_and_no_other(crashes: Crashes) -> None:
    death = Died("crashed", "killed by SIGSEGV", "the id")
    split: list[Outcome] = [Done(Split((Errand("bad"), Errand("fine")), Errand("join")))]
    script = Script(1, {"long": split, "bad": [death, death], "fine": [Done(1)], "other": [Done(4)]})
    finished = ends(script, [Errand("long", 9), Errand("other", 1)], crashes)
    assert set(finished) == {"long", "other"}
    assert (finished["long"].reason, finished["long"].subject) == ("crashed", "the id")
    assert "join" not in script.started
