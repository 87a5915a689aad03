"""A few kills of the campaign, on every run of the tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CAMPAIGN = Path(__file__).with_name("kill_campaign.py")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="kills groups of processes")
def test_a_killed_command_run_again_makes_the_same_and_leaves_nothing_over(tmp_path):
    command = [sys.executable, CAMPAIGN, tmp_path, "--kills", "7", "--stages", "extract,train,evaluate"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.stdout.splitlines()[-1:], ended.stderr
    assert ended.stdout.splitlines()[-1].startswith("7 of 7 right; "), ended.stdout
    assert not ended.stdout.endswith("right; 7 had ended before they were killed\n")
