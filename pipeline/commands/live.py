"""The commands that keep a model in memory: `serve`, `watch`."""

from pipeline.commands.command_line import command
from pipeline.commands.console import address, errors, say
from pipeline.core.errors import PipelineError
from pipeline.stages.serve_options import ServeOptions, WatchOptions


@command(ServeOptions, lasting=True)
def serve(options: ServeOptions) -> None:
    """Keep a model in memory and answer pictures over HTTP: for a microscope's software, or by a page.

    POST /predict takes the files of one picture (a form; one file per channel, or an OME-TIFF) or an array
    (application/octet-stream with X-Shape, X-Dtype, X-Channels), and answers as `predict` does, in JSON. The
    page at / takes pictures by drag and drop; /docs describes everything, /info the model, /metrics is for
    Prometheus. Listens to this machine alone; with another --host, clients have to send a token. Needs
    `pip install -r requirements_serve.txt`.

    Example: python run.py serve --model demo/work/model --port 8000
    """
    from pipeline.core.required import required

    (uvicorn,) = required(
        "uvicorn", "fastapi", "prometheus_client", "python_multipart", listed="requirements_serve.txt"
    )[:1]
    from pipeline.serving.admission import token_of
    from pipeline.serving.launching import application

    token = token_of(options)
    app, info = application(options, token)
    for line in filter(None, [info.note, f"Model: {info.name} ({len(info.locations)} locations)"]):
        say(line)
    if token and options.token_file is None:
        say(f"Token: {token} (send it as Authorization: Bearer TOKEN)")
    where = address(options.host, options.port)
    say(f"Serving at {where} until Ctrl-C; a page at /, documentation at /docs")
    try:
        uvicorn.run(
            app,
            host=options.host,
            port=options.port,
            log_level="warning",
            access_log=False,
            timeout_keep_alive=10,
            limit_concurrency=4 * (options.jobs + options.queue) + 64,
        )
    except SystemExit as error:  # uvicorn has said why
        raise PipelineError(
            f"--host {options.host} --port {options.port}: cannot listen there; give another --port"
        ) from error
    errors.print("Stopped")


@command(WatchOptions, lasting=True)
def watch(options: WatchOptions) -> None:
    """Answer the pictures of a folder while a microscope fills it.

    A picture is answered when the files of all channels that the model was trained with are there and have
    not changed for a while (what was not stained is said in a layout: absent = ["er"]). Each gives a line of
    JSON in the output: status, probabilities, cells, and how long it took; files that change later are
    answered again. Started again, it goes on where it was. A terminal shows a table of the last answers, what
    waits and how late it is; elsewhere each answer is a line. Where pictures come faster than they are
    answered, the newest come first (--queue). It is told when the stream as a whole drifts away from the
    training pictures, as when the focus is lost.

    Example: python run.py watch --images plate1 --model demo/work/model --output answers.jsonl
    """
    from pipeline.commands.watch_table import WatchTable
    from pipeline.serving.predictor import predictor_of
    from pipeline.serving.watching import Watch, keep_watching

    if not options.images.is_dir():
        raise PipelineError(f"{options.images}: no such folder; give the folder that is filled")
    predictor = predictor_of(options, options.layout_in_use)
    watched = Watch(
        predictor,
        options.images,
        options.output,
        options.samples,
        settled=options.settled,
        jobs=options.jobs,
        queue=options.queue,
    )
    say(f"Watching {options.images} with {predictor.info.name}; {len(watched.record.done):,} answered before")

    table = WatchTable(watched)
    with table.shown():
        count = keep_watching(watched, options.every, options.until, table.tell, table.warn)
    for sample, why in watched.waiting.items():
        say(f"{sample}: not answered: {why}")
    say(f"Written: {options.output} ({count:,} answers more, {len(watched.record.done):,} pictures in all)")
