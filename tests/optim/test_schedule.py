"""The schedule: a function of progress alone, so budgets may change between runs."""

import io

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pdeflow.optim import WSD, WarmupCosine
from pdeflow.optim.schedule import warmup_cosine, warmup_stable_decay


def schedule(total_steps, lr=2.0, kind=WarmupCosine, **options):
    return kind(torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr), total_steps, **options)


def advance(run, steps):
    rates = []
    for _ in range(steps):
        rates.append(run.get_last_lr()[0])
        run.optimizer.step()
        run.step()
    return rates


@given(progress=st.floats(0, 1), warmup=st.floats(0, 0.9), final=st.floats(0, 1))
def test_rate_lies_between_final_and_peak(progress, warmup, final):
    assert final - 1e-12 <= warmup_cosine(progress, warmup, final) <= 1 + 1e-12


RATES = [(0, 0.1), (0.1, 0.55), (0.2, 1), (0.6, 0.55), (1, 0.1), (2, 0.1)]


@pytest.mark.parametrize(("progress", "value"), RATES)
def test_rises_linearly_then_falls_as_half_a_cosine(progress, value):
    assert warmup_cosine(progress, 0.2, 0.1) == pytest.approx(value)


def test_depends_on_progress_only():
    assert advance(schedule(200), 200)[::2] == pytest.approx(advance(schedule(100), 100))


def test_resumed_run_may_have_a_longer_budget():
    first = schedule(100)
    advance(first, 50)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    resumed = schedule(200)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    assert advance(resumed, 150) == pytest.approx(advance(schedule(200), 200)[50:])


PLATEAU = [(0, 0.1), (0.1, 0.55), (0.2, 1), (0.5, 1), (0.6, 1), (0.7, 0.775), (1, 0.1), (2, 0.1)]


@pytest.mark.parametrize(("progress", "value"), PLATEAU)
def test_rises_stays_and_falls(progress, value):
    assert warmup_stable_decay(progress, 0.2, 0.4, 0.1, "linear") == pytest.approx(value)
    root = warmup_stable_decay(progress, 0.2, 0.4, 0.1, "1-sqrt")
    assert root == pytest.approx(value if progress != 0.7 else 0.55)


def test_plateau_without_decay_ends_at_the_peak_and_its_state_is_the_step():
    run = schedule(10, kind=WSD, warmup=0.0, decay=0.0)
    assert advance(run, 15) == [2.0] * 10 + [2.0] + [0.02] * 4
    assert set(run.state_dict()) == {"last_epoch", "base_lrs"}


def test_a_run_resumed_on_the_plateau_never_saw_the_old_end():
    first = schedule(100, kind=WSD, warmup=0.05)
    advance(first, 60)
    resumed = schedule(200, kind=WSD, warmup=0.025)
    resumed.load_state_dict(first.state_dict())
    assert advance(resumed, 140) == pytest.approx(advance(schedule(200, kind=WSD, warmup=0.025), 200)[60:])


def test_state_does_not_hold_the_budget():
    assert set(schedule(100).state_dict()) == {"last_epoch", "base_lrs"}


def test_missing_budget_and_wrong_shares_are_refused():
    with pytest.raises(ValueError, match="total_steps"):
        schedule(None)
    with pytest.raises(ValueError, match="warmup"):
        schedule(10, warmup=1.0)
    with pytest.raises(ValueError, match="warmup \\+ decay"):
        schedule(10, kind=WSD, warmup=0.5, decay=0.6)
    with pytest.raises(ValueError, match="linear, 1-sqrt"):
        schedule(10, kind=WSD, shape="cosine")
    with pytest.raises(ValueError, match="parameter groups"):
        schedule(10).load_state_dict({"last_epoch": 1, "base_lrs": [1.0, 2.0]})
