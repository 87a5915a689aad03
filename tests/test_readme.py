"""The README is true: every command is documented, and every documented command and option exists."""

import re
import shlex
from pathlib import Path

import pytest
import typer

import run

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = typer.main.get_command(run.app).commands
DOCUMENTED = sorted(set(re.findall(r"python run\.py ([^\n`#|]+)", README)))


def test_every_command_is_documented():
    missing = [name for name in COMMANDS if f"python run.py {name}" not in README]
    assert not missing


@pytest.mark.parametrize("line", DOCUMENTED)
def test_a_documented_command_exists_with_its_options(line):
    words = shlex.split(line.replace("…", "").replace("[", "").replace("]", ""))
    if words[0] == "--help":
        return
    assert words[0] in COMMANDS
    known = {option for parameter in COMMANDS[words[0]].params for option in parameter.opts}
    used = {word for word in words[1:] if word.startswith("--")} - {"--help"}
    assert used <= known


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_teaches_its_use(name):
    command = COMMANDS[name]
    assert f"python run.py {name}" in command.help, "an example"
    for parameter in command.params:
        if parameter.name != "help":
            assert parameter.help, f"--{parameter.name} says what it is for"


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_every_linked_file_exists(target):
    assert (ROOT / target).exists()


def test_the_make_commands_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, flags=re.MULTILINE):
        assert f"\n{target}:" in makefile
