"""MLPerf's scenarios with a model whose time is known: it sleeps."""

import time

import numpy as np
import pytest

from effcomp.core.batches import pack
from effcomp.measure.scenarios import (
    OFFLINE_BATCH,
    offline_samples_per_s,
    p99_at,
    serve,
    server,
    single_stream_p90_ms,
)

SERVICE_S = 0.01
INPUTS = pack({"input_ids": [[1] * (i % 5 + 1) for i in range(100)]}, {"input_ids": 0})


def call(batch: object) -> None:
    time.sleep(SERVICE_S)


def test_single_stream_is_the_time_of_one_request() -> None:
    assert single_stream_p90_ms(call, INPUTS, seconds=0.3, seed=0) == pytest.approx(1000 * SERVICE_S, rel=1.0)


def test_offline_takes_them_a_batch_at_a_time() -> None:
    found = offline_samples_per_s(call, INPUTS, seconds=0.3)
    assert 0.4 * OFFLINE_BATCH / SERVICE_S < found < OFFLINE_BATCH / SERVICE_S


def test_requests_wait_for_their_turn_and_those_that_wait_go_together() -> None:
    arrivals = np.array([0.0, 0.001, 0.002, 0.5])
    answered = serve(call, INPUTS, arrivals, np.arange(4), give_up_s=1)
    assert SERVICE_S <= answered[0] < 3 * SERVICE_S
    assert answered[1] == answered[2], "they came while the first was served, and were taken together"
    assert answered[3] >= 0.5 + SERVICE_S


def test_a_rate_that_cannot_be_served_has_no_p99() -> None:
    assert p99_at(call, INPUTS, rate=20000, bound_ms=5, seed=0) == np.inf


def test_the_highest_rate_lies_between_one_at_a_time_and_full_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("effcomp.measure.scenarios.SERVER_SECONDS", 1.0)
    generous = server(call, INPUTS, bound_ms=60, fastest=1600, seed=0)
    tight = server(call, INPUTS, bound_ms=5, fastest=1600, seed=0)
    assert 100 < generous.requests_per_s < 1000, "8 requests in 10 ms are 800 a second"
    assert generous.p99_ms <= 60
    assert tight.requests_per_s == 0, "one request alone takes longer than the bound"
