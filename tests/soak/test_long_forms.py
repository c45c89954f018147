"""The long form of every goal, as `make soak` runs it: resumable, counted for this commit."""

from __future__ import annotations

import pytest
from rich.console import Console

from bench.counts import FOLDER, commit_of
from bench.goal import Goal
from bench.goals import discover
from bench.soak import ROOT, Plan, soak

pytestmark = pytest.mark.soak


@pytest.mark.parametrize("goal", discover().values(), ids=lambda goal: goal.id)
def test_the_goal_holds_over_its_long_form(goal: Goal) -> None:
    assert soak(Plan(goals=(goal,)), FOLDER, commit_of(ROOT), Console()) == 0
