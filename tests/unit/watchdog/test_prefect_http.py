"""The client of Prefect's API waits as requested, for all threads, up to a deadline."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import pytest

from tests.http_servers import Reply, answering
from watchdog.prefect_http import PrefectHttp, PrefectUnreachableError


@dataclass
class Server:
    """A server with scripted answers (status and Retry-After), and 200 afterwards."""

    url: str = ""
    answers: list[tuple[int, str | None]] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)


@dataclass
class Clock:
    """A clock that only advances by sleeping."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def sleep(self, seconds: float) -> None:
        with self.lock:
            self.slept.append(seconds)
            self.now += seconds

    def read(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> Iterator[Server]:
    stub = Server()

    def answer(*_: object) -> Reply:
        stub.asked.append(clock.now)
        status, retry_after = stub.answers.pop(0) if stub.answers else (200, None)
        return status, {"status": status}, {"Retry-After": retry_after} if retry_after else {}

    with answering(answer) as origin:
        stub.url = f"{origin}/api"
        yield stub


def http(server: Server, clock: Clock, **options: Any) -> PrefectHttp:
    return PrefectHttp(server.url, sleep=clock.sleep, clock=clock.read, **options)


def ask(asked: PrefectHttp, patience: float = 600) -> Any:
    return asked.ask("POST", "/flow_runs/count", {}, patience=patience)


def test_the_wait_after_429_is_as_long_as_requested_every_time(
    server: Server, clock: Clock
) -> None:
    server.answers = [(429, "20")] * 12
    assert ask(http(server, clock)) == {"status": 200}
    assert len(server.asked) == 13
    assert 12 * 20 <= clock.now - 1000 <= 12 * 20.2


def test_the_wait_after_429_without_a_time_increases(server: Server, clock: Clock) -> None:
    server.answers = [(429, None)] * 10
    ask(http(server, clock))
    assert clock.now - 1000 > 60
    assert max(clock.slept) <= 30


@pytest.mark.parametrize("retry_after", ["soon", "-1", "1e9", "0", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_an_invalid_retry_after_is_ignored(server: Server, clock: Clock, retry_after: str) -> None:
    server.answers = [(429, retry_after)]
    ask(http(server, clock))
    assert 0 < clock.now - 1000 < 1


def test_a_wait_beyond_the_deadline_is_an_error(server: Server, clock: Clock) -> None:
    server.answers = [(429, "50"), (429, "50")]
    with pytest.raises(PrefectUnreachableError, match="HTTP 429") as refused:
        ask(http(server, clock), patience=75)
    assert refused.value.status == 429
    # It waited once, and not beyond the deadline.
    assert 50 <= clock.now - 1000 < 75


def test_other_failures_are_retried_a_few_times(server: Server, clock: Clock) -> None:
    server.answers = [(503, None)] * 4
    with pytest.raises(PrefectUnreachableError, match="HTTP 503"):
        ask(http(server, clock))
    assert len(server.asked) == 4
    assert clock.now - 1000 < 5
    server.answers = [(503, None)] * 3
    assert ask(http(server, clock)) == {"status": 200}


@pytest.mark.parametrize("status", [401, 404, 409, 422])
def test_a_refusal_is_not_retried(server: Server, clock: Clock, status: int) -> None:
    server.answers = [(status, "1")]
    with pytest.raises(PrefectUnreachableError, match=f"HTTP {status}") as refused:
        ask(http(server, clock))
    assert (refused.value.status, clock.slept) == (status, [])


def test_without_an_answer_there_is_no_status(clock: Clock) -> None:
    nobody = PrefectHttp("http://127.0.0.1:9/api", sleep=clock.sleep, clock=clock.read)
    with pytest.raises(
        PrefectUnreachableError, match=r"no answer from http://127\.0\.0\.1:9/api"
    ) as refused:
        ask(nobody)
    assert refused.value.status is None


def test_no_other_request_goes_out_while_one_waits(server: Server, clock: Clock) -> None:
    server.answers = [(429, "30")]
    shared = http(server, clock)
    shared._pause(30)  # as another thread's 429 does
    ask(shared)
    assert server.asked[0] >= 1030


def test_requests_keep_to_the_rate_whatever_the_threads(server: Server, clock: Clock) -> None:
    shared = http(server, clock, per_minute=120)
    with ThreadPoolExecutor(1) as pool:
        list(pool.map(lambda _: ask(shared), range(11)))
    assert clock.now - 1000 == pytest.approx(5.0)


def test_turns_are_given_one_after_another(server: Server, clock: Clock) -> None:
    shared = http(server, clock, per_minute=60)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: ask(shared), range(24)))
    # No two threads had the same turn. The clock adds up what threads sleep in parallel.
    assert shared._next >= 1000 + 24


def test_a_turn_beyond_the_deadline_is_an_error(server: Server, clock: Clock) -> None:
    shared = http(server, clock, per_minute=1)
    ask(shared)
    with pytest.raises(PrefectUnreachableError, match="the request could not be sent in time"):
        ask(shared, patience=30)
    assert len(server.asked) == 1
