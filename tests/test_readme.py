"""README and docs are true: commands, options, links, tables and examples are those of the program."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import run

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
INDEX = ROOT / "docs" / "decisions" / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md")), ROOT / "data" / "README.md", INDEX, *DECISIONS]
COMMANDS = typer.main.get_command(run.app).commands
BENCHMARKS = {
    path.name: path.read_text()
    for path in (ROOT / "benchmarks").glob("*.py")
    if "__main__" in path.read_text()
}
STATUSES = re.compile(r"in force|historical|(?:partly )?superseded by (?:\[\d+\]\([^)]+\)(?:, )?)+")

TEXT = {path.relative_to(ROOT).as_posix(): path.read_text() for path in PAGES if path.exists()}


def blocks(text: str) -> list[str]:
    """Return the lines of fenced code, without prompts, continued lines joined."""
    inside = "\n".join(re.findall(r"^```[a-z]*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL))
    return re.sub(r"\\\n\s*", "", inside).replace("\n$ ", "\n").removeprefix("$ ").split("\n")


def started(program: str) -> list[tuple[str, str]]:
    """Return page and arguments of every line of fenced code that starts a program."""
    return [
        (page, line.removeprefix(program).split("#")[0].strip())
        for page, text in TEXT.items()
        for line in blocks(text)
        if line.startswith(program)
    ]


LINES = started("python run.py ")
MENTIONED = sorted(
    {
        (page, found.strip())
        for page, text in TEXT.items()
        for found in re.findall(r"`python run\.py ([^`]+)`", text)
    }
)
MEASURED = started("python benchmarks/")


def test_the_readme_is_read_in_five_minutes():
    assert len(README.read_text().splitlines()) <= 170


def test_every_command_is_documented():
    documented = {line.split()[0] for _, line in [*LINES, *MENTIONED]}
    assert sorted(set(COMMANDS) - documented) == []


@pytest.mark.parametrize(("page", "line"), LINES)
def test_a_documented_command_line_parses(page, line):
    """Options exist, choices are among them, what is required is given."""
    name, *words = shlex.split(line)
    with COMMANDS[name].make_context(name, words) as context:
        assert context.params, page


@pytest.mark.parametrize(("page", "line"), MENTIONED)
def test_a_command_mentioned_in_a_sentence_exists_with_its_options(page, line):
    words = shlex.split(line)
    if words == ["--help"]:
        return
    known = {option for parameter in COMMANDS[words[0]].params for option in parameter.opts}
    assert {word for word in words[1:] if word.startswith("--")} <= known | {"--help"}, page


@pytest.mark.parametrize("page", TEXT)
def test_an_option_mentioned_in_a_sentence_exists(page):
    """Decisions are history; benchmarks have options of their own."""
    if "decisions/" in page:
        return
    known = {option for command in COMMANDS.values() for item in command.params for option in item.opts}
    mentioned = set(re.findall(r"`(?:[a-z-]+ )?(--[a-z]+(?:-[a-z]+)*)(?![a-z-])", TEXT[page])) - {"--help"}
    own = {option for option in mentioned - known if any(option in text for text in BENCHMARKS.values())}
    assert sorted(mentioned - known - (own if page == "docs/benchmarks.md" else set())) == []


@pytest.mark.parametrize(("page", "line"), MEASURED)
def test_a_documented_benchmark_exists_with_its_options(page, line):
    """Options are spelt out (argparse), or are annotated arguments (typer)."""
    name, *words = shlex.split(line)
    for option in [word for word in words if word.startswith("--")]:
        argument = option.removeprefix("--").replace("-", "_")
        assert re.search(rf'"{option}"|\b{argument}: (Annotated|Work)\b', BENCHMARKS[name]), page


def test_every_benchmark_is_documented():
    documented = {line.split()[0] for page, line in MEASURED if page == "docs/benchmarks.md"}
    assert sorted(set(BENCHMARKS) - documented) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_teaches_its_use(name):
    command = COMMANDS[name]
    assert f"python run.py {name}" in command.help, "an example"
    for parameter in command.params:
        if parameter.name != "help":
            assert parameter.help, f"--{parameter.name} says what it is for"


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as they are made for links."""
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", TEXT)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXT[page]):
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        file = (ROOT / page).parent / name if name else ROOT / page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file.read_text()), target


@pytest.mark.parametrize("page", TEXT)
def test_every_named_file_or_package_exists(page):
    """What has a folder of the project before it; records of decisions name packages, which stay."""
    own = "features|models|pipeline|benchmarks|tests|docs|data"
    for name in re.findall(rf"`((?:{own})/[\w./-]*)`", TEXT[page]):
        assert (ROOT / name).exists(), name


def test_every_page_is_reached_from_the_readme():
    reached, waiting = set(), {README}
    while waiting:
        page = waiting.pop()
        reached.add(page)
        links = re.findall(r"\]\(([^)\s#]+\.md)", page.read_text())
        waiting |= {(page.parent / link).resolve() for link in links} - reached
    assert sorted(path.name for path in set(PAGES) - reached) == []


def test_the_make_commands_exist():
    makefile = (ROOT / "Makefile").read_text()
    for page, text in TEXT.items():
        for target in re.findall(r"^make (\w+)$|`make (\w+)`", text, flags=re.MULTILINE):
            assert f"\n{''.join(target)}:" in makefile, page


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_every_decision_is_in_the_index_with_a_status(path):
    """One row of the index: number with link, title as in the record, status, and a line on what it says."""
    heading = path.read_text().splitlines()[0]
    number, title = re.fullmatch(r"# (\d+)\. (.+)", heading).groups()
    assert int(number) == int(path.name[:4])
    row = next(line for line in INDEX.read_text().splitlines() if line.startswith(f"| [{int(number)}]"))
    link, shown, status, words = (cell.strip() for cell in row.strip("|").split("|"))
    assert link == f"[{int(number)}]({path.name})"
    assert shown == title
    assert STATUSES.fullmatch(status)
    assert words


def documented_answer(page: str) -> tuple[list[str], str]:
    """Return the words of the command `features` in a page's console, and its answer, lines joined."""
    console = r"```console\n\$ python (run\.py features .*?)\n(.*?)```"
    command, answer = re.search(console, TEXT[page], flags=re.DOTALL).groups()
    return command.split(), " ".join(answer.split())


def test_the_explained_column_is_what_the_command_prints(command_line):
    words, answer = documented_answer("docs/features.md")
    assert " ".join(command_line(*words[1:]).output.split()) == answer


@pytest.fixture(scope="module")
def with_the_example(tmp_path_factory) -> Path:
    """Return a copy of the project that has the documented feature in its folder, and no other edit."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "features", folder / "features", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("run.py", "pipeline", "models", "data"):
        (folder / name).symlink_to(ROOT / name)
    example = re.search(r"```python\n(.*?)```", TEXT["docs/adding-a-feature.md"], flags=re.DOTALL).group(1)
    (folder / "features" / "families" / "saturation.py").write_text(example)
    return folder


def said_in(folder: Path, code: str) -> str:
    """Run code in a project's folder and return what it prints, its lines joined."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "COLUMNS": "200", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return " ".join(done.stdout.split())


def test_the_example_of_a_feature_registers_by_lying_in_the_folder(with_the_example):
    words, answer = documented_answer("docs/adding-a-feature.md")
    code = f"import sys, run; sys.argv = {words}; run.main()"
    assert said_in(with_the_example, code) == answer


def test_the_example_of_a_feature_measures_what_it_says(with_the_example):
    code = """
import numpy as np, features
pixels = np.zeros((4, 8, 8), np.uint8)
pixels[1, :2] = 255
cells = np.ones((8, 8), np.int32)
table = features.measure(pixels, cells, cells, families=["saturation"])["saturation"]
print(table["cell__saturation__share__protein"].tolist(), table["cell__saturation__share__er"].tolist())
"""
    assert said_in(with_the_example, code) == "[0.25] [0.0]"


def test_an_option_that_does_not_exist_would_be_noticed():
    with pytest.raises(Exception, match="No such option"):
        COMMANDS["status"].make_context("status", ["--work", "work", "--nonsense"])
