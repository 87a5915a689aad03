"""What all machines of a run must have in common, and who is refused."""

import os
from dataclasses import replace
from types import SimpleNamespace

import pytest

from pipeline.core.agreement import PRECISION, Agreement
from pipeline.core.clusters import at, check
from pipeline.core.errors import PipelineError
from pipeline.core.files import MAX_PIXELS
from pipeline.core.workers import autocast, precision, precision_kept

NATIVE = "pipeline.core.workers.multiplies_bfloat16"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Undo what taking terms sets."""
    for name in (PRECISION, MAX_PIXELS, "NUMBA_CACHE_DIR"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_a_process_like_the_one_that_began_a_run_takes_its_limits(monkeypatch):
    monkeypatch.setenv(MAX_PIXELS, "123")
    agreed = Agreement.here()
    monkeypatch.setenv(MAX_PIXELS, "456")
    monkeypatch.setenv(PRECISION, "float32")
    assert agreed.adopt() == ""
    assert os.environ[MAX_PIXELS] == "123"
    assert PRECISION not in os.environ


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"program": "0"}, "runs another version of the project; give it the sources of"),
        ({"versions": ("Python 3.11", "numpy 1.0")}, "this run has .*; install the same requirements.txt"),
        ({"instructions": "AVX"}, "this run by AVX: last bits would differ; leave it out, or set"),
    ],
)
def test_a_machine_that_would_give_other_bits_does_nothing_and_is_named(other, told, tmp_path):
    agreed = replace(Agreement.here(), **other)
    with pytest.raises(PipelineError, match=f"a worker on .* {told}"):
        at(str(tmp_path), agreed, b"never unpacked")


def test_a_cluster_with_such_a_worker_is_refused_by_its_address():
    class Client:
        def run(self, function, agreed, on_error):
            assert on_error == "return"
            return {"tcp://10.0.0.7:1": "", "tcp://10.0.0.8:1": function(replace(agreed, program="0"))}

    with pytest.raises(
        PipelineError, match=r"--cluster tcp://a:1: worker tcp://10.0.0.8:1 on .* another version"
    ):
        check(Client(), "tcp://a:1")


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        (OSError("closed"), None),  # it was killed while it was asked
        (ImportError("no module named pipeline"), "workers do not find the project"),
        (ValueError("else"), "else"),
    ],
)
def test_a_worker_that_is_gone_before_it_answers_is_none(answer, refused):
    client = SimpleNamespace(run=lambda *_, **__: {"tcp://10.0.0.7:1": "", "tcp://10.0.0.8:1": answer})
    if refused is None:
        check(client, "tcp://a:1")
    else:
        with pytest.raises((PipelineError, ValueError), match=refused):
            check(client, "tcp://a:1")


def test_machine_code_of_another_machine_lies_apart(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert replace(Agreement.here(), machine="elsewhere").adopt() == ""
    assert os.environ["NUMBA_CACHE_DIR"].startswith(str(tmp_path))


def test_networks_keep_the_precision_that_a_run_was_begun_with(monkeypatch):
    import torch

    monkeypatch.setattr(NATIVE, lambda _: True)
    assert precision("cpu") == "bfloat16"
    with precision_kept("float32"):
        assert precision("cpu") == "float32"
        with autocast("cpu"):
            assert not torch.is_autocast_enabled("cpu")
    with autocast("cpu"):
        assert torch.is_autocast_enabled("cpu")
    assert PRECISION not in os.environ


def test_a_processor_without_bfloat16_is_refused_by_a_run_that_uses_it(monkeypatch):
    monkeypatch.setattr(NATIVE, lambda _: False)
    assert precision("cpu") == "float32"
    with (
        precision_kept("bfloat16"),
        pytest.raises(PipelineError, match=f"leave it out, or give everything {PRECISION}"),
    ):
        precision("cpu")
    monkeypatch.setenv(PRECISION, "half")
    with pytest.raises(PipelineError, match=f"{PRECISION}=half: no precision; give float32 or bfloat16"):
        precision("cpu")
