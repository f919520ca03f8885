"""Findings of the compiler itself, which no rule yields, for the table of checks."""

from __future__ import annotations

from kedro_k8s_airflow.checks.registry import compiler_code

compiler_code(
    "data-memory",
    "error",
    family="data",
    title="In-memory data that has to pass between pods (`group_by: none`).",
    source="kedro-plugins#655, #998 and #1085",
)
compiler_code(
    "data-pod",
    "error",
    family="data",
    title="A file on one pod's disk that another pod loads (`group_by: none`, `pod_local: refuse`).",
    source="kedro#5778",
)
compiler_code(
    "data-confirms",
    "error",
    family="data",
    title="A dataset that one pod loads and another confirms (`group_by: none`).",
    source="kedro.io, where a dataset remembers what to confirm in the process that loaded it",
)
compiler_code(
    "data-place",
    "error",
    family="data",
    title="Data saved next to the project's own files, or to a folder that is part of the image.",
    source="Pods have a read-only root file system",
)
compiler_code(
    "store",
    "error",
    family="data",
    title="A store for in-memory data that some pods cannot reach.",
    source="kedro-databricks#135",
)
compiler_code(
    "volume",
    "error",
    family="data",
    title="A volume that hides files of the image, or that is mounted at the path of another one.",
    source="kedro-airflow-k8s, whose volume hid files of the image",
)
compiler_code(
    "settings-clash",
    "error",
    family="graph",
    title="Nodes that must share a pod but have contradictory settings.",
    source="kedro-vertexai#129",
)
compiler_code(
    "pipeline-alone",
    "error",
    family="graph",
    title="A pipeline that Kedro cannot load by itself, as pods do.",
    source="Kedro 1.5 to 1.7, where `kedro run --pipelines` also fails",
)
compiler_code(
    "dag-id",
    "error",
    family="names",
    title="Two DAGs with the same dag_id.",
    source="kedro-airflow, where the ids of `--all` collide",
)
compiler_code(
    "dag-case",
    "warning",
    family="names",
    title="Two DAG files whose names differ only by case.",
    source="A disk that ignores case keeps one of them",
)
compiler_code("pipeline", "error", family="names", title="A pipeline that the project does not register.")
compiler_code(
    "pipeline-empty",
    "error",
    family="names",
    title="A pipeline without nodes.",
    source="A DAG without tasks runs and does nothing",
)
compiler_code(
    "pipeline-skipped",
    "warning",
    family="names",
    title="A pipeline without nodes when all are compiled (`--all`).",
    source="A DAG without tasks runs and does nothing",
)
compiler_code("settings", "error", family="settings", title="A missing settings file.")
compiler_code(
    "settings-there", "error", family="settings", title="A settings file that already exists when `init` runs."
)
compiler_code(
    "settings-unknown",
    "error",
    family="settings",
    title="A key that is not a setting.",
    source="kedro-airflow, where `retry: 3` does nothing",
)
compiler_code("settings-missing", "error", family="settings", title="A required key that is missing.")
compiler_code(
    "settings-value",
    "error",
    family="settings",
    title="A value that Kubernetes, Airflow or this plugin cannot use.",
    source="cosmos#1821 and dag-factory#520",
)
compiler_code("settings-type", "error", family="settings", title="A value of the wrong type.", source="cosmos#1821")
compiler_code(
    "rule-unmatched",
    "error",
    family="settings",
    title="A rule or group that matches no node of any registered pipeline.",
    source="kedro-databricks#110",
)
compiler_code(
    "profile-unknown",
    "error",
    family="settings",
    title="A rule or a node's tag that names a profile that does not exist.",
    source="kedro-databricks#110",
)
compiler_code(
    "schedule",
    "error",
    family="schedule",
    title="Dates or limits that Airflow rejects, or that never lead to a run.",
    source="Airflow's own checks at import",
)
compiler_code(
    "explain-unknown", "error", family="names", title="A name that is not the name of a task, node or dataset."
)
compiler_code(
    "checks-unknown",
    "error",
    family="settings",
    title="A code in `checks.ignore`, `--select` or `--ignore` that does not exist or cannot be ignored.",
)
compiler_code(
    "param-unknown",
    "error",
    family="parameters",
    title="A parameter of a DAG that the project does not have.",
    source="kedro-airflow-k8s#101",
)
compiler_code(
    "param-dotted",
    "error",
    family="parameters",
    title="A parameter whose own key contains a dot or is not a text, so that a run cannot change it.",
    source="Kedro splits the names of runtime parameters at dots",
)
compiler_code(
    "param-twice",
    "error",
    family="parameters",
    title="A parameter that is set in two ways, or is part of another one that is set.",
    source="The result would depend on the order of the two",
)
compiler_code(
    "param-environment",
    "error",
    family="parameters",
    title="A parameter in the trigger form whose value comes from an environment variable of the pods.",
    source="The DAG file would hold the value of the machine that made it, which may be a secret",
)
compiler_code(
    "param-number",
    "error",
    family="parameters",
    title="A number that JSON cannot represent.",
    source="Airflow serialises parameters as JSON",
)
compiler_code(
    "param-type",
    "error",
    family="parameters",
    title="A value that JSON cannot represent, such as a date.",
    source="Airflow serialises parameters as JSON",
)
compiler_code(
    "param-field",
    "error",
    family="parameters",
    title="A field of the trigger form whose options contradict the default of its parameter.",
    source="Airflow checks the default of a Param when it imports the DAG",
)
compiler_code(
    "param-size",
    "error",
    family="parameters",
    title="Parameters of more than 100 KB.",
    source="Linux limits one environment variable to 128 KiB",
)
compiler_code(
    "macro",
    "error",
    family="parameters",
    title="A macro that is not a valid Airflow template expression.",
    source="Airflow would report it only in the first run",
)
compiler_code(
    "param-runtime",
    "error",
    family="parameters",
    title="A configuration that needs a runtime parameter that is not set.",
    source="Kedro's `${runtime_params:}` without a default",
)
compiler_code(
    "image-no-lock",
    "warning",
    family="image",
    title="Neither uv.lock nor requirements.txt, so that two builds may differ.",
    source="Two different builds of one commit",
)
compiler_code(
    "image-no-kedro",
    "warning",
    family="image",
    title="Dependencies that do not include Kedro.",
    source="A public project whose image did not contain Kedro",
)
compiler_code(
    "image-local",
    "warning",
    family="image",
    title="A requirement that the build cannot install: a path, or a URL that is to be editable.",
    source="The build fails at it",
)
compiler_code(
    "image-excluded",
    "info",
    family="image",
    title="Development packages that are left out of the image.",
    source="kedro#5207",
)
compiler_code(
    "image-imported",
    "info",
    family="image",
    title="A package that `build.exclude` names and that stays in the image, because the project imports it.",
    source="Four of 28 public projects, whose settings.py imports kedro-viz",
)
compiler_code(
    "image-python",
    "warning",
    family="image",
    title="A project that allows no Python version that this plugin knows.",
    source="Kedro 1.7 runs on 3.10 to 3.14",
)
compiler_code("image-path", "error", family="image", title="A path that a Dockerfile cannot express.")
compiler_code(
    "image-groups",
    "error",
    family="image",
    title="A dependency group or extra that the project does not define.",
    source="`uv sync` fails at it",
)
compiler_code(
    "image-pyproject",
    "error",
    family="image",
    title="A pyproject.toml that lists dependencies in a form that is not valid.",
    source="pip and uv fail at it",
)
compiler_code(
    "image-requirements",
    "error",
    family="image",
    title="A requirements file that does not exist.",
    source="The build fails at it",
)
compiler_code(
    "image-unknown",
    "error",
    family="image",
    title="An image that is neither defined in the settings nor a complete reference.",
    source="Kubernetes would pull `latest`",
)
compiler_code("image-lock", "error", family="image", title="A file that is not a valid image lock.")
compiler_code("image-engine", "error", family="image", title="A build engine that is missing.")
compiler_code(
    "image-platform", "error", family="image", title="A platform that cannot be built.", source="kedro-azureml#87"
)
compiler_code("image-epoch", "error", family="image", title="A SOURCE_DATE_EPOCH that is not a number.")
compiler_code(
    "image-tag",
    "error",
    family="image",
    title="A tag that an image must not have.",
    source="`latest` may be a different image tomorrow",
)
compiler_code("image-secret", "error", family="image", title="A build secret that is missing or not configured.")
compiler_code(
    "image-ignore",
    "error",
    family="image",
    title="A .dockerignore that is invalid or excludes files that the image needs.",
    source="The public starter astro-airflow-iris",
)
compiler_code("image-build", "error", family="image", title="A build that failed.")
compiler_code(
    "image-changed",
    "error",
    family="image",
    title="Files that changed during the build.",
    source="The lock would describe different content",
)
compiler_code("image-digest", "error", family="image", title="A push that returned no digest.")
compiler_code(
    "image-contract",
    "error",
    family="image",
    title="An image in which pods cannot run.",
    source="Custom Dockerfiles that broke it (docs/guides/image.md)",
)
compiler_code(
    "secret",
    "error",
    family="security",
    title="A literal that looks like a credential, where a DAG, an image or a log would expose it.",
    source="apache/airflow#17604 and #68975",
)
compiler_code(
    "publish-to", "error", family="publish", title="A missing publish target, or one that is not a repository."
)
compiler_code(
    "publish-password",
    "error",
    family="publish",
    title="A URL that contains a password.",
    source="Shells, logs and process lists would expose it",
)
compiler_code("publish-git", "error", family="publish", title="A git command that failed; its output is shown.")
compiler_code(
    "publish-identity",
    "error",
    family="publish",
    title="A missing git identity for the commit.",
    source="`git commit` fails, too",
)
compiler_code(
    "publish-branch",
    "error",
    family="publish",
    title="A branch that is invalid, missing or checked out elsewhere.",
    source="git would change the files of another work tree",
)
compiler_code("publish-remote", "error", family="publish", title="A repository without a remote to push to.")
compiler_code(
    "publish-diverged",
    "error",
    family="publish",
    title="A branch and its remote that have diverged.",
    source="Only a person can decide which commits to keep",
)
compiler_code(
    "publish-moved",
    "error",
    family="publish",
    title="Another process that published at the same time.",
    source="Two CI jobs that finish at the same time",
)
compiler_code(
    "publish-dirty",
    "error",
    family="publish",
    title="Uncommitted changes in the target to files that would be published.",
    source="They would be lost",
)
compiler_code(
    "publish-folder",
    "error",
    family="publish",
    title="A publish folder that is invalid, or whose path is a file in the target.",
)
compiler_code(
    "publish-manifest",
    "error",
    family="publish",
    title="An ownership manifest that is invalid or from a later version.",
    source="The owner of the files would be unknown",
)
compiler_code(
    "publish-owned",
    "error",
    family="publish",
    title="A file or dag_id that belongs to another project.",
    source="Airflow picks one of two DAGs with the same id at random",
)
compiler_code(
    "publish-edited",
    "error",
    family="publish",
    title="A published file that was edited by hand.",
    source="The edit would be lost",
)
compiler_code(
    "publish-foreign",
    "error",
    family="publish",
    title="A file at the path of a DAG that was not published from this project.",
    source="It may belong to another person",
)
compiler_code(
    "publish-tag",
    "error",
    family="publish",
    title="An image that is referenced by tag or not built.",
    source="kedro-airflow-k8s, whose DAGs used `latest`",
)
compiler_code(
    "publish-stale",
    "error",
    family="publish",
    title="An image that was built before its content changed.",
    source="kedro-plugins#652, where DAG and image diverge",
)
compiler_code(
    "drift-missing",
    "error",
    family="publish",
    title="A DAG that is not published.",
    source="It was never published, or was deleted there",
)
compiler_code(
    "drift-extra",
    "error",
    family="publish",
    title="A published DAG that the project no longer generates.",
    source="Airflow keeps running it",
)
compiler_code(
    "drift-edited",
    "error",
    family="publish",
    title="A published file that was edited or copied by hand.",
    source="The next publish would lose the edit",
)
compiler_code(
    "drift-changed",
    "error",
    family="publish",
    title="A DAG that changed in the project after it was published.",
    source="Airflow runs the old version",
)
compiler_code(
    "drift-image",
    "error",
    family="publish",
    title="An image that differs from the published one, or was built before its content changed.",
    source="kedro-plugins#652",
)
compiler_code(
    "drift-generator",
    "error",
    family="publish",
    title="DAGs that were published by another version of this plugin.",
    source="Two versions may generate different files",
)
compiler_code(
    "publish-uncommitted",
    "warning",
    family="publish",
    title="Uncommitted changes in the project, or a commit that cannot be determined.",
    source="It would be unknown what ran",
)
compiler_code("project", "error", family="environment", title="A project whose Kedro settings cannot be used.")
compiler_code("registry", "error", family="environment", title="Pipelines that cannot be loaded.")
compiler_code(
    "registry-warns", "warning", family="environment", title="A warning from Kedro while the pipelines are loaded."
)
compiler_code(
    "registry-prints",
    "warning",
    family="environment",
    title="A project that prints to stdout while it is loaded.",
    source="Its pods would print, too",
)
compiler_code(
    "registry-swallowed",
    "error",
    family="environment",
    title="An import error that `find_pipelines()` suppressed, together with its pipelines.",
    source="kedro#2943",
)
compiler_code(
    "hooks",
    "info",
    family="environment",
    title="Hooks that may change the catalog or context, which the compiler cannot see.",
    source="kedro-plugins#673",
)
compiler_code("catalog", "error", family="environment", title="A catalog that cannot be resolved.")
compiler_code("conf", "error", family="environment", title="A configuration file that cannot be read.")
compiler_code(
    "conf-source", "error", family="environment", title="A configuration folder that images would not contain."
)
compiler_code(
    "conf-local",
    "warning",
    family="environment",
    title="A file of `conf/local`, or of credentials, that the project reads while the pipelines are loaded.",
    source="Pipelines built from parameters that only one machine has",
)
compiler_code(
    "env",
    "error",
    family="environment",
    title="An environment that does not exist, or that images do not contain.",
    source="conf/local is never copied to an image",
)
compiler_code("file", "error", family="environment", title="A file that cannot be read or written.")
compiler_code(
    "file-foreign", "error", family="environment", title="A file that `create` would overwrite but did not generate."
)
compiler_code(
    "file-stale",
    "warning",
    family="environment",
    title="A generated DAG file that the settings no longer produce.",
    source="Airflow keeps running it",
)
