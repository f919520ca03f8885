"""The commands: parse, call, print. Everything heavy is imported inside a command, because Kedro loads this module at every start."""

from __future__ import annotations

import contextlib
import functools
import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kedro.framework.startup import ProjectMetadata

    from kedro_k8s_airflow.request import CompileRequest


@click.group(name="Kubernetes on Airflow")
def commands() -> None:
    """What this plugin adds to `kedro`."""


@commands.group(name="k8s-airflow")
def k8s_airflow() -> None:
    """Run this project's pipelines as Kubernetes pods on Airflow."""


def _request_options(
    *, dags: bool = False, params: bool = True, lock: bool = True
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command the options that say which project is meant, and how it is to be read, and hands them on as one value.

    Args:
        dags: with those that choose DAGs.
        params: with Kedro's runtime parameters.
        lock: with the image lock.
    """
    options = [
        click.option("--env", "-e", default=None, envvar="KEDRO_ENV", help="Kedro environment the pods run with."),
        click.option("--conf-source", default=None, metavar="PATH", help="Folder of the project's configuration."),
    ]
    if params:
        help_text = "Kedro runtime parameters: for the configuration, and of every pod."
        options.append(click.option("--params", default="", metavar="k=v,...", help=help_text))
    if lock:
        file = click.Path(dir_okay=False, path_type=Path)
        help_text = "The image lock, when it is not k8s-airflow.lock."
        options.append(click.option("--lock", "lock_file", default=None, type=file, help=help_text))
    if dags:
        help_text = "Only DAGs of this registered pipeline; repeat for more."
        all_help = "One DAG for every registered pipeline."
        options = [
            click.option("--pipeline", "-p", "pipelines", multiple=True, metavar="NAME", help=help_text),
            click.option("--all", "all_pipelines", is_flag=True, help=all_help),
            *options,
        ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def wrapped(metadata: ProjectMetadata, /, **values: Any) -> None:
            from kedro_k8s_airflow.request import CompileRequest

            text = values.pop("params", "")
            shared = {
                name: values.pop(name)
                for name in ("env", "conf_source", "pipelines", "all_pipelines", "lock_file")
                if name in values
            }
            if shared.get("all_pipelines") and shared.get("pipelines"):
                raise click.UsageError("--all and --pipeline exclude each other.")
            runtime_params = _parse_params(text) if params else {}
            command(CompileRequest(metadata=metadata, params=runtime_params, params_text=text, **shared), **values)

        decorated: Callable[..., None] = click.pass_obj(wrapped)
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


@k8s_airflow.command()
@_request_options(params=False, lock=False)
def init(request: CompileRequest, /) -> None:
    """Write a first k8s_airflow.yml that fits this project."""
    from kedro_k8s_airflow import files, project
    from kedro_k8s_airflow.commands import init
    from kedro_k8s_airflow.output import console

    with _exit_on_refusal():
        kedro_project = project.read_project(
            request.metadata, env=request.env, conf_source=request.conf_source, kedro_airflow=True
        )
        outputs, findings = init.draft_settings_file(kedro_project)
        changes, _ = files.compare_files(outputs)
        files.write_files(changes)
        console.print_file_changes(console.open_console(), changes, kedro_project.path, dry=False)
        console.print_findings(console.open_console(stderr=True), findings)


@k8s_airflow.command()
@click.option(
    "--output",
    "-o",
    default="dags",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the DAG files.",
)
@click.option("--force", is_flag=True, help="Overwrite DAG files that were not written by this command.")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 when a file would change.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@_request_options(dags=True)
def create(
    request: CompileRequest,
    /,
    output: Path,
    force: bool,
    check: bool,
    diff: bool,
    quiet: bool,
) -> None:
    """Write a DAG file for each pipeline, and the image spec."""
    with _without_garbage_collection(), _exit_on_refusal():
        from kedro_k8s_airflow import files
        from kedro_k8s_airflow.commands import create
        from kedro_k8s_airflow.output import console, plan_table

        result = create.prepare_create(request, folder=output, force=force)
        if not (check or diff):
            files.write_files(result.changes)
        out, err = console.open_console(), console.open_console(stderr=True)
        if not quiet:
            console.print_findings(err, result.findings)
        if diff:
            click.echo(files.diff_files(result.changes, result.root), nl=False)
        elif not quiet:
            for plan in result.plans:
                plan_table.print_short(out, plan)
        if not (quiet or diff):
            if not check:
                console.print_inputs(out, result.inputs, result.fill_commands)
            console.print_file_changes(out, result.changes, result.root, dry=check)
    if check and any(change.status in ("new", "changed") for change in result.changes):
        sys.exit(1)


@k8s_airflow.command("plan")
@click.option(
    "--format",
    "form",
    default="table",
    show_default=True,
    type=click.Choice(["table", "tree", "json", "mermaid"]),
    help="A table or a tree for people, JSON for programs, or a picture in Mermaid.",
)
@click.option(
    "--output",
    "-o",
    default="-",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="A file instead of standard output, where Kedro may log a line of its own.",
)
@click.option("--quiet", "-q", is_flag=True, help="Print errors and the plan only.")
@_request_options(dags=True)
def show_plan(
    request: CompileRequest,
    /,
    form: str,
    output: Path,
    quiet: bool,
) -> None:
    """Show the DAGs as create would write them: pods, order, reasons, data, resources. Writes no DAG."""
    with _without_garbage_collection(), _exit_on_refusal():
        from kedro_k8s_airflow import compiler, files
        from kedro_k8s_airflow.output import console, plan_formats

        compilation = compiler.compile_request(request)
        plans = compilation.plans_despite_errors()
        console.print_findings(console.open_console(stderr=True), compilation.errors if quiet else compilation.findings)
        if output == Path("-"):
            plan_formats.print_plans(console.open_console(), plans, form)
        else:
            changes = files.write_file(output, plan_formats.format_plans(plans, form), force=True)
            if not quiet:
                console.print_file_changes(console.open_console(), changes, compilation.context.project.path, dry=False)
    sys.exit(int(bool(compilation.errors)))


@k8s_airflow.command()
@click.option(
    "--format",
    "form",
    default="text",
    show_default=True,
    type=click.Choice(["text", "json", "github", "sarif"]),
    help="For people, for programs, as annotations of GitHub Actions, for code scanning.",
)
@click.option("--select", "selected", multiple=True, metavar="CODES", help="Only these findings or families; repeat.")
@click.option("--ignore", "ignored", multiple=True, metavar="CODES", help="Not these findings or families; repeat.")
@click.option("--strict", is_flag=True, help="Exit 1 for warnings, too.")
@click.option(
    "--output", "-o", default=None, type=click.Path(dir_okay=False, path_type=Path), help="A file instead of stdout."
)
@click.option(
    "--drift", is_flag=True, help="Say instead in what the published DAGs differ from what would be published."
)
@click.option(
    "--against",
    default=None,
    metavar="PATH|REF|URL",
    help="With --drift: what was published to, or a commit of this repository; else as the settings say.",
)
@click.option("--subfolder", default=None, metavar="FOLDER", help="With --drift: folder of the DAG files there.")
@click.option("--branch", default=None, help="With --drift: the branch that Airflow reads there.")
@_request_options(dags=True)
def check(
    request: CompileRequest,
    /,
    form: str,
    selected: tuple[str, ...],
    ignored: tuple[str, ...],
    strict: bool,
    output: Path | None,
    drift: bool,
    against: str | None,
    subfolder: str | None,
    branch: str | None,
) -> None:
    """Say what will break, or mean other than it seems, before anything is deployed. Writes no DAG.

    Exit code 0: nothing to mend; 1: errors, or warnings with --strict; 2: the project cannot be read.
    """
    if not drift and (against, subfolder, branch) != (None, None, None):
        raise click.UsageError("--against, --subfolder and --branch go with --drift.")
    if drift and (request.pipelines or request.all_pipelines):
        raise click.UsageError(
            "--drift looks at all DAGs of the settings, as publish does: leave --pipeline and --all out."
        )
    with _without_garbage_collection(), _exit_on_refusal(code=2):
        from kedro_k8s_airflow import checks, compiler
        from kedro_k8s_airflow.output import console
        from kedro_k8s_airflow.output.source_lines import LineFinder

        selected_codes = _resolve_codes(selected, "--select") or frozenset(checks.RULES)
        ignored_codes = _resolve_codes(ignored, "--ignore")
        if drift:
            from kedro_k8s_airflow.publish import drift as drifting

            result = drifting.check_drift(
                request, drifting.DriftTarget(reference=against, subfolder=subfolder, branch=branch)
            )
        else:
            result = compiler.check_request(request)
        # What kept the project from being compiled is always told: without it the rest was not looked at.
        findings = [
            finding
            for finding in result.findings
            if not (drift or checks.RULES[finding.code].can_be_ignored)
            or finding.code in selected_codes - ignored_codes
        ]
        find_line = LineFinder(result.root, result.project, result.plans)
        console.write_report(findings, find_line, form, output, empty_text="no drift" if drift else "no findings")
    if result.project is None:
        sys.exit(2)
    counts = ("error", "warning") if strict else ("error",)
    sys.exit(int(any(finding.severity in counts for finding in findings)))


def _resolve_codes(values: tuple[str, ...], option: str) -> frozenset[str]:
    """Codes of findings from an option's words, each a code, a family or several with commas between them."""
    from kedro_k8s_airflow import checks
    from kedro_k8s_airflow.findings import Refused
    from kedro_k8s_airflow.locations import Location

    words = [word.strip() for text in values for word in text.split(",") if word.strip()]
    try:
        return checks.resolve_codes(words, Location(subject=option))
    except Refused as refused:
        raise click.UsageError(str(refused)) from None


@k8s_airflow.command()
@click.argument("name")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@_request_options(dags=True)
def explain(
    request: CompileRequest,
    /,
    name: str,
    form: str,
) -> None:
    """Tell all about a task, node or dataset: settings and who said them, why it is so, how to run it by hand."""
    with _exit_on_refusal():
        from kedro_k8s_airflow import compiler
        from kedro_k8s_airflow.explain import explanation
        from kedro_k8s_airflow.output import console, explain_json, explain_text

        compilation = compiler.compile_request(request)
        explanations = explanation.explain_name(explanation.build_context(compilation), name)
        console.print_findings(console.open_console(stderr=True), compilation.errors)
        if form == "json":
            click.echo(explain_json.explanations_to_json(explanations), nl=False)
        else:
            explain_text.print_explanations(console.open_console(), explanations)
    sys.exit(int(bool(compilation.errors)))


@k8s_airflow.command()
@click.option(
    "--output",
    "-o",
    default=None,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write it to this file instead of printing it.",
)
@click.option("--force", is_flag=True, help="Overwrite a file that was not written by this plugin.")
def schema(output: Path | None, force: bool) -> None:
    """Print the JSON schema of k8s_airflow.yml, for editors."""
    with _exit_on_refusal():
        from kedro_k8s_airflow import files
        from kedro_k8s_airflow.config import schema
        from kedro_k8s_airflow.output import console

        if output is None:
            click.echo(schema.read_schema(), nl=False)
            return
        changes = files.write_file(output, schema.read_schema(), force=force)
        console.print_file_changes(console.open_console(), changes, Path.cwd(), dry=False)


@k8s_airflow.command()
@click.option(
    "--subject",
    "subjects",
    multiple=True,
    metavar="NAMESPACE:NAME",
    help="ServiceAccount of Airflow's workers, triggerer or scheduler that gets the role; repeat for more.",
)
@click.option(
    "--output",
    "-o",
    default="manifests",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the manifests.",
)
@click.option("--force", is_flag=True, help="Overwrite files that were not written by this command.")
@_request_options(lock=False)
def manifests(
    request: CompileRequest,
    /,
    subjects: tuple[str, ...],
    output: Path,
    force: bool,
) -> None:
    """Write the Role Airflow needs, and a pod that fills the volumes."""
    accounts = [tuple(subject.split(":")) for subject in subjects]
    if any(len(account) != 2 or not all(account) for account in accounts):
        raise click.UsageError("--subject is NAMESPACE:NAME of a ServiceAccount.")
    with _exit_on_refusal():
        from kedro_k8s_airflow import files
        from kedro_k8s_airflow.commands import create
        from kedro_k8s_airflow.output import console

        result = create.prepare_manifests(
            request, subjects=[(account[0], account[1]) for account in accounts], folder=output, force=force
        )
        files.write_files(result.changes)
        console.print_file_changes(console.open_console(), result.changes, result.root, dry=False)


def _parse_pairs(_context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """`NAME=VALUE` of a repeated option."""
    pairs = dict(text.partition("=")[::2] for text in values)
    if any("=" not in text or not text.partition("=")[0] for text in values):
        raise click.BadParameter("write NAME=VALUE.", param=option)
    return pairs


def _check_utf8(_context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """A text that can be written in UTF-8."""
    try:
        (value or "").encode()
    except UnicodeEncodeError:
        raise click.BadParameter("it is no text in UTF-8.", param=option) from None
    return value


@k8s_airflow.command("build-image")
@click.option(
    "--image", "names", multiple=True, metavar="NAME", help="Only this image of the settings; repeat for more."
)
@click.option("--tag", default=None, metavar="TAG", help="Instead of the hash of the image's content.")
@click.option("--push", is_flag=True, help="Push to the registry, so that the DAG names a digest.")
@click.option(
    "--engine",
    "engine_name",
    default=None,
    type=click.Choice(["buildah", "podman", "docker"]),
    help="What builds; by default the first of these that is there.",
)
@click.option("--platform", default=None, metavar="OS/ARCH", help="Such as linux/arm64; by default this machine's.")
@click.option(
    "--build-arg",
    "arguments",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_parse_pairs,
    help="A build argument; repeat.",
)
@click.option("--secret", "secrets", multiple=True, metavar="id=NAME,src=FILE", help="A build secret; repeat.")
@click.option("--no-verify", is_flag=True, help="Do not start the image to prove that pods can run in it.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@_request_options()
def build_image(
    request: CompileRequest,
    /,
    names: tuple[str, ...],
    tag: str | None,
    push: bool,
    engine_name: str | None,
    platform: str | None,
    arguments: dict[str, str],
    secrets: tuple[str, ...],
    no_verify: bool,
    quiet: bool,
) -> None:
    """Build the image of this project, prove it, and write the image lock."""
    with _exit_on_refusal():
        from kedro_k8s_airflow.commands import create
        from kedro_k8s_airflow.image import build, build_options, engines
        from kedro_k8s_airflow.output import console

        options = build_options.parse_options(
            tag=tag, push=push, platform=platform, arguments=arguments, secrets=secrets, verify=not no_verify
        )
        engine = engines.find_engine(engine_name)
        image_project = create.write_image_spec(request)
        out, err = console.open_console(), console.open_console(stderr=True)
        if not quiet:
            console.print_findings(err, image_project.findings)
        for name in build_options.select_images(image_project.settings, names):
            with console.show_progress(err, f"image {name}", quiet=quiet) as report:
                built = build.build_image(image_project, name, engine, options, report)
            if not quiet:
                console.print_build_result(out, built, image_project.lock_path, image_project.root)


@k8s_airflow.command()
@click.option(
    "--to", default=None, metavar="PATH|URL", help="The repository that Airflow reads; else as the settings say."
)
@click.option(
    "--subfolder",
    default=None,
    metavar="FOLDER",
    help="Folder in it for the DAG files; else as the settings say: dags.",
)
@click.option("--branch", default=None, help="Branch to commit to; else as the settings say, or --base.")
@click.option(
    "--base",
    default=None,
    metavar="BRANCH",
    help="Branch that Airflow reads; else as the settings say, or what is checked out there.",
)
@click.option("--push", is_flag=True, help="Push the branch with plain `git push`.")
@click.option(
    "--message", "-m", default=None, callback=_check_utf8, help="First line of the commit's message, or more of it."
)
@click.option("--dry-run", is_flag=True, help="Write nothing; say what would be done.")
@click.option("--allow-tag", is_flag=True, help="Let DAGs name images by tags, which may be other images tomorrow.")
@click.option("--force", is_flag=True, help="Overwrite files that were edited by hand or are of unknown origin.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@_request_options()
def publish(
    request: CompileRequest,
    /,
    *,
    quiet: bool,
    **options: Any,
) -> None:
    """Commit the DAGs to the repository that Airflow reads: all of them, or nothing."""
    with _without_garbage_collection(), _exit_on_refusal():
        from kedro_k8s_airflow.output import console
        from kedro_k8s_airflow.publish import publisher as publishing

        result = publishing.publish_dags(request, publishing.PublishOptions(**options))
        if not quiet:
            console.print_findings(console.open_console(stderr=True), result.findings)
            console.print_publish_result(console.open_console(), result, dry=options["dry_run"])


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Without the cyclic garbage collector: of a large project it takes a quarter of the time and finds nothing."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # or the interpreter goes through the whole heap once more when it ends
        gc.enable()


def _parse_params(text: str) -> dict[str, Any]:
    """`k=v,...` as Kedro reads it for `kedro run --params`."""
    from kedro.framework.cli.utils import _split_params

    context = click.get_current_context()
    option = next(option for option in context.command.params if option.name == "params")
    try:
        return dict(_split_params(context, option, text))
    except click.ClickException:
        raise
    except Exception as exc:  # noqa: BLE001  Kedro hands on whatever its parser of YAML raises
        raise click.BadParameter(f"{text!r} cannot be read: {' '.join(str(exc).split())}", param=option) from None


class _exit_on_refusal:  # noqa: N801  used as a `with` block, like those of contextlib
    """Turns what the user can mend into findings on stderr and an exit code; bugs of ours keep their traceback."""

    def __init__(self, code: int = 1) -> None:
        self.code = code

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, exc: BaseException | None, traceback: object) -> None:
        from kedro_k8s_airflow.findings import Refused
        from kedro_k8s_airflow.output import console

        if isinstance(exc, Refused):
            console.print_findings(console.open_console(stderr=True), exc.findings)
            sys.exit(self.code)
        if isinstance(exc, OSError) and exc.filename is not None:
            click.echo(f"Error: {exc.filename}: {exc.strerror}", err=True)
            sys.exit(self.code)
