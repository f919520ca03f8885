"""The commands: parse, call, print.

Everything heavy is imported inside a command, because Kedro loads this module at every start.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from kedro_k8s_airflow import __version__
from kedro_k8s_airflow.stdout import STDOUT_NAME, discard_results, name_errors, reserve_for_results, result_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kedro.framework.startup import ProjectMetadata

    from kedro_k8s_airflow.request import CompileRequest


PROGRAM = "kedro-k8s-airflow"
QUIET_HELP = "Print errors only."


@contextlib.contextmanager
def _exit_without_output() -> Iterator[None]:
    """Write what is left of the results, and turn a failure of standard output into a message and exit code 1."""
    try:
        try:
            yield
        finally:
            result_stream().flush()
    except OSError as exc:
        if exc.filename != STDOUT_NAME:
            raise
        _exit_on_os_error(exc, 1)


class _Command(click.Command):
    """A command whose help text fails with one message when standard output cannot be written."""

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        with _exit_without_output(), name_errors():
            return super().make_context(*arguments, **options)


class _CommandGroup(_Command, click.Group):
    """A group of such commands, whose results fail with one message, too."""

    command_class = _Command

    def invoke(self, ctx: click.Context) -> Any:
        with _exit_without_output():
            return super().invoke(ctx)


def _exit_on_os_error(exc: OSError, code: int) -> NoReturn:
    """Report the file that the system refused, and exit."""
    if exc.filename == STDOUT_NAME:
        discard_results()
    click.echo(f"Error: {exc.filename}: {exc.strerror}", err=True)
    sys.exit(code)


@click.group(name="Kubernetes on Airflow")
def commands() -> None:
    """Commands that this plugin adds to `kedro`."""


@commands.group(name="k8s-airflow", cls=_CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=PROGRAM, help="Show the version of this plugin and exit.")
def k8s_airflow() -> None:
    """Run this project's pipelines as Kubernetes pods on Airflow."""


def main() -> None:
    """Run the commands without Kedro's command line around them: the console script `kedro-k8s-airflow`."""
    k8s_airflow(prog_name=PROGRAM)


class NoProjectError(click.ClickException):
    """There is no Kedro project to work on."""

    exit_code = 2


@contextlib.contextmanager
def _open_project(metadata: ProjectMetadata | None) -> Iterator[ProjectMetadata]:
    """Yield the project that Kedro's command line has opened, or open the one around the working directory.

    In the second case standard output is kept for results meanwhile.

    Raises:
        NoProjectError: if there is none, or Kedro cannot open it.
    """
    if metadata is not None:
        yield metadata
        return
    with reserve_for_results():
        folder = _find_project()
        if folder is None:
            raise NoProjectError(
                "not inside a Kedro project: neither this folder nor one above it "
                "has a pyproject.toml with a [tool.kedro] section."
            )
        yield _bootstrap_project(folder)


def _find_project() -> Path | None:
    """Return the folder of the Kedro project that the working directory is in."""
    from kedro.utils import find_kedro_project

    folder: Path | None = find_kedro_project(Path.cwd())
    return folder


def _bootstrap_project(folder: Path) -> ProjectMetadata:
    """Open a project as Kedro's command line does."""
    try:
        from kedro.framework.startup import bootstrap_project

        return bootstrap_project(folder)
    except Exception as exc:
        from kedro_k8s_airflow.exceptions import describe_exception

        raise NoProjectError(f"Kedro cannot open the project in {folder}: {describe_exception(exc)}.") from exc


def _request_options(*, dags: bool = False, lock: bool = True) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that adds the options for reading a project, and passes them to the command as one value.

    Args:
        dags: whether to add those that select DAGs.
        lock: whether to add the image lock.
    """
    env_help = "Kedro environment that the pods run with."
    conf_help = "Configuration folder of the project, or a URL that the pods can read."
    params_help = "Kedro runtime parameters, used here and passed to every pod."
    options = [
        click.option("--env", "-e", default=None, metavar="ENV", envvar="KEDRO_ENV", help=env_help),
        click.option("--conf-source", default=None, metavar="PATH", help=conf_help),
        click.option("--params", default="", metavar="k=v,...", help=params_help),
    ]
    if lock:
        file = click.Path(dir_okay=False, path_type=Path)
        help_text = "Image lock to use instead of k8s-airflow.lock."
        options.append(click.option("--lock", "lock_file", default=None, type=file, help=help_text))
    if dags:
        help_text = "Only DAGs of this registered pipeline. Repeatable."
        all_help = "Also make a DAG for every other registered pipeline."
        options = [
            click.option("--pipeline", "-p", "pipelines", multiple=True, metavar="NAME", help=help_text),
            click.option("--all", "all_pipelines", is_flag=True, help=all_help),
            *options,
        ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def wrapped(metadata: ProjectMetadata | None, /, **values: Any) -> None:
            from kedro_k8s_airflow.request import CompileRequest

            text = values.pop("params")
            shared = {
                name: values.pop(name)
                for name in ("env", "conf_source", "pipelines", "all_pipelines", "lock_file")
                if name in values
            }
            if shared.get("all_pipelines") and shared.get("pipelines"):
                raise click.UsageError("--all and --pipeline cannot be used together.")
            with _open_project(metadata) as project:
                runtime_params = _parse_params(text) if text else {}
                command(CompileRequest(metadata=project, params=runtime_params, params_text=text, **shared), **values)

        decorated: Callable[..., None] = click.pass_obj(wrapped)
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


def _dash_to_none(_context: click.Context, _option: click.Parameter, value: Path | None) -> Path | None:
    """Return the file that an option names, or None for standard output."""
    return None if value == Path("-") else value


@k8s_airflow.command(short_help="Write a first k8s_airflow.yml for this project.")
@_request_options(lock=False)
def init(request: CompileRequest, /) -> None:
    """Write a first k8s_airflow.yml for this project. An existing one is never overwritten."""
    with _exit_on_refusal():
        from kedro_k8s_airflow import files
        from kedro_k8s_airflow.commands.init import draft_settings_file
        from kedro_k8s_airflow.findings import Refused
        from kedro_k8s_airflow.output import console
        from kedro_k8s_airflow.project.reader import read_project

        kedro_project = read_project(
            request.metadata,
            env=request.env,
            conf_source=request.conf_source,
            runtime_params=request.params,
            kedro_airflow=True,
        )
        outputs, findings = draft_settings_file(kedro_project)
        changes, errors = files.compare_files(outputs)
        if errors:
            raise Refused(errors)
        files.write_files(changes)
        console.print_file_changes(console.open_console(), changes, kedro_project.path, dry=False)
        console.print_findings(console.open_console(stderr=True), findings)


@k8s_airflow.command(short_help="Write the DAG files and the image spec.")
@click.option(
    "--output",
    "-o",
    default="dags",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the DAG files, relative to the project.",
)
@click.option("--force", is_flag=True, help="Overwrite DAG files that this command did not write.")
@click.option("--check", is_flag=True, help="Write nothing; exit with code 1 if a file would change.")
@click.option("--diff", is_flag=True, help="Write nothing; print the changes as a unified diff.")
@click.option("--quiet", "-q", is_flag=True, help=QUIET_HELP)
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
    """Write the DAG files and the image spec. Nothing is written if there is an error in any DAG."""
    with _without_garbage_collection(), _exit_on_refusal():
        from kedro_k8s_airflow import files
        from kedro_k8s_airflow.commands.create import prepare_create
        from kedro_k8s_airflow.output import console, plan_table

        result = prepare_create(request, folder=output, force=force)
        if not (check or diff):
            files.write_files(result.changes)
        out, err = console.open_console(), console.open_console(stderr=True)
        if not quiet:
            console.print_findings(err, result.findings)
        if diff:
            click.echo(files.diff_files(result.changes, result.root), nl=False, file=result_stream())
        elif not quiet:
            for plan in result.plans:
                plan_table.print_short(out, plan)
        if not (quiet or diff):
            if not check:
                console.print_inputs(out, result.inputs, result.fill_commands)
            console.print_file_changes(out, result.changes, result.root, dry=check)
    if check and any(change.status in ("new", "changed") for change in result.changes):
        sys.exit(1)


@k8s_airflow.command("plan", short_help="Show the DAGs that `create` would write.")
@click.option(
    "--format",
    "form",
    default="table",
    show_default=True,
    type=click.Choice(["table", "tree", "json", "mermaid"]),
    help="Table or tree for people, JSON for programs, or a Mermaid diagram.",
)
@click.option(
    "--output",
    "-o",
    default=None,
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    callback=_dash_to_none,
    help="Write the plan to this file instead of standard output.",
)
@click.option("--quiet", "-q", is_flag=True, help="Print the plan and errors only.")
@_request_options(dags=True)
def show_plan(
    request: CompileRequest,
    /,
    form: str,
    output: Path | None,
    quiet: bool,
) -> None:
    """Show the DAGs that `create` would write: pods, order, grouping reasons, data and resources. Writes no DAG."""
    with _without_garbage_collection(), _exit_on_refusal():
        from kedro_k8s_airflow import compiler, files
        from kedro_k8s_airflow.output import console, plan_formats

        compilation = compiler.compile_request(request)
        plans = compilation.plans_despite_errors()
        console.print_findings(console.open_console(stderr=True), compilation.errors if quiet else compilation.findings)
        if output is None:
            plan_formats.print_plans(console.open_console(), plans, form)
        else:
            changes = files.write_file(output, plan_formats.format_plans(plans, form), force=True)
            if not quiet:
                console.print_file_changes(console.open_console(), changes, compilation.context.project.path, dry=False)
    sys.exit(int(bool(compilation.errors)))


@k8s_airflow.command(short_help="Check the project for problems before deploying.")
@click.option(
    "--format",
    "form",
    default="text",
    show_default=True,
    type=click.Choice(["text", "json", "github", "sarif"]),
    help="Text for people, JSON for programs, annotations for GitHub Actions, or SARIF for code scanning.",
)
@click.option(
    "--select",
    "selected",
    multiple=True,
    metavar="CODES",
    help="Report only these findings or families, separated by commas. Repeatable.",
)
@click.option(
    "--ignore",
    "ignored",
    multiple=True,
    metavar="CODES",
    help="Do not report these findings or families, separated by commas. Repeatable.",
)
@click.option("--strict", is_flag=True, help="Exit with code 1 for warnings, too.")
@click.option(
    "--output",
    "-o",
    default=None,
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    callback=_dash_to_none,
    help="Write the findings to this file instead of standard output.",
)
@click.option("--drift", is_flag=True, help="Compare with the published DAGs instead.")
@click.option(
    "--against",
    default=None,
    metavar="PATH|REF|URL",
    help="With --drift: the publish target, or a commit of this repository. Default: publish.to in the settings.",
)
@click.option("--subfolder", default=None, metavar="FOLDER", help="With --drift: folder of the published DAG files.")
@click.option("--branch", default=None, metavar="BRANCH", help="With --drift: the branch that Airflow reads.")
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
    """Check the project for problems before deploying. Writes no DAG.

    Exit codes: 0 if there is nothing to fix, 1 for errors (and for warnings with --strict), 2 if the project cannot be
    read.
    """
    if not drift and (against, subfolder, branch) != (None, None, None):
        raise click.UsageError("--against, --subfolder and --branch need --drift.")
    if drift and (request.pipelines or request.all_pipelines):
        raise click.UsageError(
            "--drift compares all DAGs of the settings, as publish does. Remove --pipeline and --all."
        )
    with _without_garbage_collection(), _exit_on_refusal(code=2):
        from kedro_k8s_airflow import checks, compiler
        from kedro_k8s_airflow.output import console
        from kedro_k8s_airflow.output.source_lines import LineFinder

        selected_codes = _resolve_codes(selected, "--select") or frozenset(checks.RULES)
        ignored_codes = _resolve_codes(ignored, "--ignore")
        if drift:
            from kedro_k8s_airflow.publish.drift import DriftTarget, check_drift

            result = check_drift(request, DriftTarget(reference=against, subfolder=subfolder, branch=branch))
        else:
            result = compiler.check_request(request)
        # A finding that stopped the compiler is always reported: whatever comes after it was not checked.
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
    """Return the codes of findings that an option selects: codes and families, separated by commas."""
    from kedro_k8s_airflow import checks
    from kedro_k8s_airflow.findings import Refused
    from kedro_k8s_airflow.locations import Location

    words = [word.strip() for text in values for word in text.split(",") if word.strip()]
    try:
        return checks.resolve_codes(words, Location(subject=option))
    except Refused as refused:
        raise click.UsageError(str(refused)) from None


@k8s_airflow.command(short_help="Explain a task, node or dataset.")
@click.argument("name")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Text for people, or JSON for programs.",
)
@_request_options(dags=True)
def explain(
    request: CompileRequest,
    /,
    name: str,
    form: str,
) -> None:
    """Explain a task, node or dataset.

    Shows effective settings and their source, grouping reasons, data locations, and commands to run it manually.
    """
    with _exit_on_refusal():
        from kedro_k8s_airflow import compiler
        from kedro_k8s_airflow.explain.explanation import build_context, explain_name
        from kedro_k8s_airflow.output import console, explain_json, explain_text

        compilation = compiler.compile_request(request)
        explanations = explain_name(build_context(compilation), name)
        console.print_findings(console.open_console(stderr=True), compilation.errors)
        if form == "json":
            click.echo(explain_json.explanations_to_json(explanations), nl=False, file=result_stream())
        else:
            explain_text.print_explanations(console.open_console(), explanations)
    sys.exit(int(bool(compilation.errors)))


@k8s_airflow.command(short_help="Show versions and project facts for a bug report.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Text for people, or JSON for programs.",
)
@click.pass_obj
def info(metadata: ProjectMetadata | None, /, form: str) -> None:
    """Show versions and project facts for a bug report.

    Shows no values of settings, no names of registries and no paths outside the project.
    """

    def open_project() -> ProjectMetadata | None:
        folder = None if metadata else _find_project()
        return metadata if folder is None else _bootstrap_project(folder)

    with contextlib.nullcontext() if metadata else reserve_for_results():
        from kedro_k8s_airflow.commands.info import gather_info
        from kedro_k8s_airflow.output.info_formats import info_to_json, info_to_text

        facts = gather_info(open_project)
        click.echo(info_to_json(facts) if form == "json" else info_to_text(facts), nl=False, file=result_stream())


@k8s_airflow.command(short_help="Print the JSON Schema of k8s_airflow.yml for editors.")
@click.option(
    "--output",
    "-o",
    default=None,
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    callback=_dash_to_none,
    help="Write the schema to this file instead of standard output.",
)
@click.option("--force", is_flag=True, help="Overwrite a file that this plugin did not write.")
def schema(output: Path | None, force: bool) -> None:
    """Print the JSON Schema of k8s_airflow.yml for editors. Works outside a project, too."""
    with _exit_on_refusal():
        from kedro_k8s_airflow import files
        from kedro_k8s_airflow.config.schema import read_schema
        from kedro_k8s_airflow.output import console

        if output is None:
            click.echo(read_schema(), nl=False, file=result_stream())
            return
        changes = files.write_file(output, read_schema(), force=force)
        console.print_file_changes(console.open_console(), changes, Path.cwd(), dry=False)


def _parse_sizes(_context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str | None, str]:
    """Return the sizes by claim, and under None that of all other claims."""
    from kedro_k8s_airflow.quantities import parse_quantity

    sizes: dict[str | None, str] = {}
    for text in values:
        claim, _, size = text.rpartition("=")
        try:
            amount = parse_quantity(size)
        except ValueError as exc:
            raise click.BadParameter(f"{exc}.", param=option) from None
        if amount < 1 or (claim or None) in sizes:
            raise click.BadParameter(f"{text!r} is not a size, or is given twice; write 10Gi.", param=option)
        sizes[claim or None] = size
    return sizes


def _parse_subjects(_context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return namespace and name of each ServiceAccount; raise BadParameter for a name that Kubernetes does not accept."""
    if not values:
        return []
    from kedro_k8s_airflow.config.types import parse_service_account

    accounts = []
    for value in values:
        try:
            accounts.append(parse_service_account(value))
        except ValueError as exc:
            raise click.BadParameter(f"{value!r}: {exc}.", param=option) from None
    return accounts


@k8s_airflow.command(short_help="Write the Kubernetes objects that are needed once.")
@click.option(
    "--subject",
    "subjects",
    multiple=True,
    metavar="NAMESPACE:NAME",
    callback=_parse_subjects,
    help="ServiceAccount of Airflow's workers, triggerer or scheduler to bind the Role to. Repeatable.",
)
@click.option(
    "--output",
    "-o",
    default="manifests",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the manifests, relative to the project.",
)
@click.option(
    "--size",
    "sizes",
    multiple=True,
    metavar="[CLAIM=]SIZE",
    callback=_parse_sizes,
    help="Size of the claims that the settings do not give one, or of one claim. Repeatable.",
)
@click.option("--storage-class", default=None, metavar="NAME", help="Storage class of all claims.")
@click.option("--force", is_flag=True, help="Overwrite files that this command did not write.")
@_request_options(lock=False)
def manifests(
    request: CompileRequest,
    /,
    subjects: list[tuple[str, str]],
    output: Path,
    sizes: dict[str | None, str],
    storage_class: str | None,
    force: bool,
) -> None:
    """Write the Kubernetes objects that are needed once: rights, accounts, claims, and pods to upload data and to clean up."""
    with _exit_on_refusal():
        from kedro_k8s_airflow import files
        from kedro_k8s_airflow.commands.manifests import ManifestOptions, prepare_manifests
        from kedro_k8s_airflow.output import console

        options = ManifestOptions(
            subjects=subjects, sizes=sizes, storage_class=storage_class, folder=output, force=force
        )
        result = prepare_manifests(request, options)
        files.write_files(result.changes)
        out = console.open_console()
        console.print_file_changes(out, result.changes, result.root, dry=False)
        console.print_missing_objects(out, result.missing, result.namespace)


def _parse_pairs(_context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Return the values of a repeated `NAME=VALUE` option by name."""
    pairs = dict(text.partition("=")[::2] for text in values)
    if any("=" not in text or not text.partition("=")[0] for text in values):
        raise click.BadParameter("write NAME=VALUE.", param=option)
    return pairs


def _check_utf8(_context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Check that a text can be encoded in UTF-8; raise BadParameter otherwise."""
    try:
        (value or "").encode()
    except UnicodeEncodeError:
        raise click.BadParameter("it cannot be encoded in UTF-8.", param=option) from None
    return value


@k8s_airflow.command("build-image", short_help="Build and verify the image, and write the image lock.")
@click.option("--image", "names", multiple=True, metavar="NAME", help="Build only this image. Repeatable.")
@click.option("--tag", default=None, metavar="TAG", help="Tag to use instead of the content hash.")
@click.option("--push", is_flag=True, help="Push the image, and write its digest to the image lock.")
@click.option(
    "--engine",
    "engine_name",
    default=None,
    type=click.Choice(["buildah", "podman", "docker"]),
    help="Build engine. Default: the first of these on PATH.",
)
@click.option(
    "--platform", default=None, metavar="OS/ARCH", help="Platform, such as linux/arm64. Default: that of this machine."
)
@click.option(
    "--build-arg",
    "arguments",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_parse_pairs,
    help="Build argument. Repeatable.",
)
@click.option("--secret", "secrets", multiple=True, metavar="id=NAME,src=FILE", help="Build secret. Repeatable.")
@click.option("--no-verify", is_flag=True, help="Do not start the image to verify that pods can run in it.")
@click.option("--quiet", "-q", is_flag=True, help=QUIET_HELP)
@_request_options()
def build_image_command(
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
    """Build the project's image, verify that pods can run in it, and write the image lock."""
    with _exit_on_refusal():
        from kedro_k8s_airflow.commands.build_image import write_image_spec
        from kedro_k8s_airflow.image.build import build_image
        from kedro_k8s_airflow.image.build_options import parse_build_options, select_images
        from kedro_k8s_airflow.image.engines import find_engine
        from kedro_k8s_airflow.output import console

        options = parse_build_options(
            tag=tag, push=push, platform=platform, arguments=arguments, secrets=secrets, verify=not no_verify
        )
        engine = find_engine(engine_name)
        image_project = write_image_spec(request)
        out, err = console.open_console(), console.open_console(stderr=True)
        if not quiet:
            console.print_findings(err, image_project.findings)
        for name in select_images(image_project.settings, names):
            with console.show_progress(err, f"image {name}", quiet=quiet) as report:
                built = build_image(image_project, name, engine, options, report)
            if not quiet:
                console.print_build_result(out, built, image_project.lock_path, image_project.root)


@k8s_airflow.command(short_help="Commit the DAGs to the repository that Airflow reads.")
@click.option(
    "--to",
    default=None,
    metavar="PATH|URL",
    help="Repository that Airflow reads. Default: publish.to in the settings.",
)
@click.option(
    "--subfolder",
    default=None,
    metavar="FOLDER",
    help="Folder for the DAG files in it. Default: publish.subfolder in the settings, which is dags.",
)
@click.option(
    "--branch",
    default=None,
    metavar="BRANCH",
    help="Branch to commit to. Default: publish.branch in the settings, or the base.",
)
@click.option(
    "--base",
    default=None,
    metavar="BRANCH",
    help="Branch that Airflow reads. Default: publish.base in the settings, or the branch checked out there.",
)
@click.option("--push", is_flag=True, help="Push the branch with plain `git push`.")
@click.option(
    "--message",
    "-m",
    default=None,
    metavar="TEXT",
    callback=_check_utf8,
    help="Text that replaces the commit subject; may have more lines.",
)
@click.option("--dry-run", is_flag=True, help="Write nothing; print what would be committed.")
@click.option("--allow-tag", is_flag=True, help="Allow images named by tag, which may point to another image later.")
@click.option("--force", is_flag=True, help="Overwrite files edited by hand or of unknown origin.")
@click.option("--quiet", "-q", is_flag=True, help=QUIET_HELP)
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
        from kedro_k8s_airflow.publish.publisher import PublishOptions, publish_dags

        result = publish_dags(request, PublishOptions(**options))
        if not quiet:
            console.print_findings(console.open_console(stderr=True), result.findings)
            console.print_publish_result(console.open_console(), result, dry=options["dry_run"])


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Switch off the cyclic garbage collector: on a large project it takes a quarter of the time and frees nothing."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # otherwise the interpreter traverses the whole heap once more at exit
        gc.enable()


def _parse_params(text: str) -> dict[str, Any]:
    """Return the parameters of `k=v,...`, parsed as `kedro run --params` does."""
    from kedro.framework.cli.utils import _split_params

    context = click.get_current_context()
    option = next(option for option in context.command.params if option.name == "params")
    try:
        return dict(_split_params(context, option, text))
    except click.ClickException:
        raise
    except Exception as exc:  # noqa: BLE001  Kedro passes on whatever its YAML parser raises
        raise click.BadParameter(f"{text!r} cannot be read: {' '.join(str(exc).split())}", param=option) from None


class _exit_on_refusal:  # noqa: N801  used as a `with` block, like those of contextlib
    """Turn what the user can fix into findings on stderr and an exit code; bugs keep their traceback."""

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
            _exit_on_os_error(exc, self.code)
