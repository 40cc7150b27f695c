"""`dure jobs list|watch|cancel`: trainings that were asked for, by whomever, on this machine."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dure.bib.job import State
    from dure.bib.trainings import Trainings


@click.group()
def jobs() -> None:
    """See and cancel trainings."""


@jobs.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each.")
def list_jobs(as_json: bool) -> None:
    """List the trainings, the oldest first."""
    import msgspec

    from dure.bib.queue import JobQueue

    queue = JobQueue()
    for job in queue.jobs():
        if as_json:
            click.echo(msgspec.json.encode(job))
            continue
        share = queue.last_event(job.id).share
        said = f"{job.model_name}@{job.version}" if job.version else job.model_name
        line = f"{job.id}  {job.state:<9} {share:4.0%}  {job.task:<3} {said}  {job.num_rows:,} rows on {job.device}"
        note = job.note.partition("\n")[0]
        click.echo(f"{line}  {note}".rstrip())


@jobs.command()
@click.argument("job_id")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each event.")
def watch(job_id: str, as_json: bool) -> None:
    """Follow a training from its beginning to its end; one that nobody looks after any more goes on."""
    from dure.bib.job import State
    from dure.bib.queue import JobQueue
    from dure.bib.trainings import Trainings

    with Trainings(JobQueue().job(job_id).device) as trainings:
        state = _follow(trainings, job_id, as_json=as_json)
    if state is not State.DONE:
        raise click.exceptions.Exit(1)


def _follow(trainings: "Trainings", job_id: str, *, as_json: bool) -> "State":
    import msgspec

    state = trainings.queue.job(job_id).state
    for event in trainings.watch(job_id):
        state = event.state
        if as_json:
            click.echo(msgspec.json.encode(event))
            continue
        loss = "" if event.loss is None else f"  loss {event.loss:.4f}"
        score = "" if event.score is None else f"  score {event.score:.4f}"
        place = f"{event.state:<9} {event.share:4.0%}  step {event.step}/{event.num_steps}  epoch {event.epoch}"
        note = f"  {event.note}" if event.note else ""
        published = f"  version {event.version}" if event.version else ""
        click.echo(f"{place}{loss}{score}  {event.elapsed_time_s:.1f} s{published}{note}")
    return state


@jobs.command()
@click.argument("job_id")
def cancel(job_id: str) -> None:
    """Ask for the end of a training."""
    from dure.bib.queue import JobQueue

    job = JobQueue().cancel(job_id)
    click.echo(f"{job.id} is {'asked to end' if job.is_cancelled and not job.state.is_final else job.state}")
