"""`dure hub new`: a dialogue, or flags, that end in a new bundle.

Knows what is asked and in which order; what a bundle consists of and which answers are good,
dure.hub.scaffold knows.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from dure.errors import ValidationError


@click.command()
@click.option("--name", help="Class of the Executor, in CamelCase, e.g. SentenceEncoder.")
@click.option(
    "--path",
    type=click.Path(path_type=Path),
    help="Folder to make.  [default: the name, in this folder]",
)
@click.option("--description", help="What it does, in one line.")
@click.option("--keywords", help="Keywords, separated by commas.")
@click.option("--url", help="Where its source is.")
@click.option("--dockerfile/--no-dockerfile", default=None, help="Add Dockerfiles for CPU and GPU.  [default: no]")
@click.option("--base", help="What the image for GPUs starts from: slim, nvidia, or an image.  [default: slim]")
def new(**answers: Any) -> None:
    """Make a new Executor bundle: a folder that can be served, tested and put into a container.

    On a terminal and without flags it asks; with any flag, or without a terminal, it never does.
    """
    from dure.hub import scaffold

    given = {key: value for key, value in answers.items() if value is not None}
    if not given and sys.stdin.isatty():
        given = _ask()
    if "name" not in given:
        raise click.UsageError("Missing option '--name' (it is asked for on a terminal only, and if no flag is given).")
    given.setdefault("path", Path.cwd() / given["name"])
    given["keywords"] = scaffold.split_keywords(given.get("keywords", ""))
    try:
        plan = scaffold.Scaffold(**given)
    except ValidationError as error:
        raise click.UsageError(f"--{error}") from error
    files = scaffold.write(plan)
    click.echo(_next_steps(plan, [str(path.relative_to(plan.path)) for path in files]))


def _ask() -> dict[str, Any]:
    """Hold the dialogue; an answer that cannot be used is asked for again."""
    from dure.hub import scaffold

    name = _prompt("Name of the Executor, in CamelCase (e.g. SentenceEncoder)", scaffold.check_name, None)
    folder = _prompt("Folder", lambda text: scaffold.check_line("path", text), str(Path.cwd() / name))
    answers: dict[str, Any] = {"name": name, "path": Path(folder).expanduser()}
    if click.confirm("Advanced settings: description, keywords, URL, Dockerfile?", default=False):
        answers["description"] = _prompt(
            "Description, one line (may be blank)",
            lambda text: scaffold.check_line("description", text),
        )
        answers["keywords"] = _prompt(
            "Keywords, separated by commas (may be blank)",
            lambda text: scaffold.check_line("keywords", text),
        )
        answers["url"] = _prompt("URL of its source (may be blank)", scaffold.check_url)
        answers["dockerfile"] = click.confirm("Add a Dockerfile?", default=False)
    return answers


def _prompt(question: str, check: Callable[[str], str], default: str | None = "") -> str:
    def convert(text: str) -> str:
        try:
            return check(text.strip())
        except ValidationError as error:
            raise click.UsageError(str(error)) from error  # click asks again

    answer: str = click.prompt(question, default=default, value_proc=convert, show_default=bool(default))
    return answer


def _next_steps(plan: Any, files: list[str]) -> str:
    image = (
        f"\n  docker build -t {plan.image} .   # then: docker run -p 8080:8080 {plan.image}\n"
        "  dure hub build --device gpu  # an image for GPUs, of Dockerfile.gpu; --model puts models in"
        if plan.dockerfile
        else ""
    )
    return (
        f"Made {plan.path}: {', '.join(files)}\n\nNext:\n"
        f"  cd {plan.path}\n"
        f"  edit executor.py             # and requirements.txt\n"
        f"  python -m pytest             # its test passes as it is\n"
        f"  dure executor up config.yml  # serve it{image}"
    )
