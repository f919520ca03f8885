"""What the compiler itself finds on its way: findings that no rule yields, for the table of checks."""

from __future__ import annotations

from kedro_k8s_airflow.checks.registry import compiler_code

compiler_code(
    "data-memory",
    "error",
    family="data",
    title="Data in memory that has to go from pod to pod (`group_by: none`).",
    source="kedro-plugins#655, #998 and #1085",
)
compiler_code(
    "data-pod",
    "error",
    family="data",
    title="A file of one pod's disk that another pod loads (`group_by: none`, `pod_local: refuse`).",
    source="kedro#5778",
)
compiler_code(
    "data-confirms",
    "error",
    family="data",
    title="A dataset that one pod confirms and another loads (`group_by: none`).",
    source="kedro.io keeps it in the loading process",
)
compiler_code(
    "data-place",
    "error",
    family="data",
    title="Data saved beside the project's own files, or into a folder that the image carries.",
    source="our pods' root is read-only",
)
compiler_code(
    "store",
    "error",
    family="data",
    title="A store for data in memory that not every pod could reach.",
    source="kedro-databricks#135",
)
compiler_code(
    "volume",
    "error",
    family="data",
    title="A volume that hides files of the image, or lies where another does.",
    source="kedro-airflow-k8s, whose volume hid what the image had",
)
compiler_code(
    "settings-clash",
    "error",
    family="graph",
    title="Nodes that have to share a pod and whose settings contradict each other.",
    source="kedro-vertexai#129",
)
compiler_code(
    "pipeline-alone",
    "error",
    family="graph",
    title="A pipeline that Kedro cannot load by itself, as pods do.",
    source="Kedro 1.5 to 1.7, where `kedro run --pipelines` fails alike",
)
compiler_code(
    "dag-id",
    "error",
    family="names",
    title="Two DAGs of one dag_id.",
    source="kedro-airflow, where the ids of `--all` collide",
)
compiler_code("pipeline", "error", family="names", title="A pipeline that the project does not register.")
compiler_code(
    "pipeline-empty",
    "error",
    family="names",
    title="A pipeline without nodes.",
    source="a DAG without tasks runs, and does nothing",
)
compiler_code(
    "pipeline-skipped",
    "warning",
    family="names",
    title="A pipeline without nodes, among all (`--all`).",
    source="a DAG without tasks runs, and does nothing",
)
compiler_code("settings", "error", family="settings", title="There is no settings file.")
compiler_code("settings-there", "error", family="settings", title="`init` found a settings file.")
compiler_code(
    "settings-unknown",
    "error",
    family="settings",
    title="A key that is no setting.",
    source="kedro-airflow, where `retry: 3` does nothing",
)
compiler_code("settings-missing", "error", family="settings", title="A key that is required.")
compiler_code(
    "settings-value",
    "error",
    family="settings",
    title="A value that Kubernetes, Airflow or we cannot use, and why.",
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
    title="A profile that is not there, asked for by a rule or by a node's tag.",
    source="kedro-databricks#110",
)
compiler_code(
    "schedule",
    "error",
    family="schedule",
    title="Dates or limits that Airflow would refuse or never run.",
    source="Airflow's own checks at import",
)
compiler_code("explain-unknown", "error", family="names", title="A name that is no task's, node's or dataset's.")
compiler_code(
    "checks-unknown",
    "error",
    family="settings",
    title="A code under `checks.ignore`, `--select` or `--ignore` that is no finding's, or one that cannot be ignored.",
)
compiler_code(
    "param-unknown",
    "error",
    family="parameters",
    title="A parameter that is offered and that the project does not have.",
    source="kedro-airflow-k8s#101",
)
compiler_code(
    "param-dotted",
    "error",
    family="parameters",
    title="A parameter whose own key has a dot, so that a run cannot change it.",
    source="Kedro's runtime parameters split at dots",
)
compiler_code(
    "param-twice",
    "error",
    family="parameters",
    title="A parameter that is given in two ways, or is part of another that is.",
    source="the order of the two would decide",
)
compiler_code(
    "param-number",
    "error",
    family="parameters",
    title="A number that JSON cannot write.",
    source="apache/airflow serialises parameters as JSON",
)
compiler_code(
    "param-type",
    "error",
    family="parameters",
    title="A value that JSON cannot write, such as a date.",
    source="apache/airflow serialises parameters as JSON",
)
compiler_code(
    "param-size",
    "error",
    family="parameters",
    title="Parameters of more than 100 KB.",
    source="Linux takes 128 KiB for one variable",
)
compiler_code(
    "macro",
    "error",
    family="parameters",
    title="A macro that is no expression of Airflow's templates.",
    source="Airflow would say so in the first run",
)
compiler_code(
    "param-runtime",
    "error",
    family="parameters",
    title="A configuration that needs a runtime parameter nobody gives.",
    source="Kedro's `${runtime_params:}` without a default",
)
compiler_code(
    "image-no-lock",
    "warning",
    family="image",
    title="Neither uv.lock nor requirements.txt, so that two builds may differ.",
    source="two builds of one commit that differ",
)
compiler_code(
    "image-no-kedro",
    "warning",
    family="image",
    title="Dependencies without Kedro.",
    source="a public project, whose image had none",
)
compiler_code(
    "image-local",
    "warning",
    family="image",
    title="A requirement that lies in the project.",
    source="the build stops at it",
)
compiler_code(
    "image-excluded",
    "info",
    family="image",
    title="Packages for development that the image goes without.",
    source="kedro#5207",
)
compiler_code(
    "image-python",
    "warning",
    family="image",
    title="No Python that Kedro runs on is allowed.",
    source="Kedro 1.7 needs 3.10 to 3.13",
)
compiler_code("image-path", "error", family="image", title="A path that a Dockerfile cannot name.")
compiler_code(
    "image-groups",
    "error",
    family="image",
    title="A group or extra of dependencies that the project does not have.",
    source="`uv sync` stops at it",
)
compiler_code(
    "image-requirements",
    "error",
    family="image",
    title="A requirement file that is not there.",
    source="the build stops at it",
)
compiler_code(
    "image-unknown",
    "error",
    family="image",
    title="An image that is neither one of the project's nor a whole reference.",
    source="Kubernetes would take `latest`",
)
compiler_code("image-lock", "error", family="image", title="An image lock that is none.")
compiler_code("image-engine", "error", family="image", title="No engine to build with, or one that is not there.")
compiler_code(
    "image-platform", "error", family="image", title="A platform that cannot be built.", source="kedro-azureml#87"
)
compiler_code("image-epoch", "error", family="image", title="SOURCE_DATE_EPOCH that is no number.")
compiler_code(
    "image-tag",
    "error",
    family="image",
    title="A tag that an image must not have.",
    source="`latest` names another image tomorrow",
)
compiler_code("image-secret", "error", family="image", title="A build secret that is not there, or not asked for.")
compiler_code(
    "image-ignore",
    "error",
    family="image",
    title="A .dockerignore that leaves out what the image needs, or is none.",
    source="the public starter astro-airflow-iris",
)
compiler_code("image-build", "error", family="image", title="The engine could not build.")
compiler_code(
    "image-changed",
    "error",
    family="image",
    title="Files that changed while the image was being built.",
    source="the lock would name another content",
)
compiler_code("image-digest", "error", family="image", title="A push without a digest.")
compiler_code(
    "image-contract",
    "error",
    family="image",
    title="An image that pods could not run in.",
    source="own Dockerfiles that broke it, one by one (docs/guides/image.md)",
)
compiler_code(
    "secret",
    "error",
    family="security",
    title="A literal that looks like a credential, where a DAG, an image or a log would show it.",
    source="apache/airflow#17604 and #68975",
)
compiler_code("publish-to", "error", family="publish", title="A target that is no repository, or that nobody names.")
compiler_code(
    "publish-password",
    "error",
    family="publish",
    title="An address with a password in it.",
    source="shells, logs and process lists show it",
)
compiler_code(
    "publish-git", "error", family="publish", title="Git cannot do what is asked of it; its own words are shown."
)
compiler_code(
    "publish-identity",
    "error",
    family="publish",
    title="Git does not know who commits.",
    source="`git commit` stops at it, too",
)
compiler_code(
    "publish-branch",
    "error",
    family="publish",
    title="A branch that cannot be, is not there or is checked out elsewhere.",
    source="git would change files under another work tree",
)
compiler_code("publish-remote", "error", family="publish", title="A repository without a remote to push to.")
compiler_code(
    "publish-diverged",
    "error",
    family="publish",
    title="A branch and its remote with commits of their own.",
    source="only a person can say which are to stay",
)
compiler_code(
    "publish-moved",
    "error",
    family="publish",
    title="Somebody else was publishing at the same time.",
    source="two jobs of CI that end in one minute",
)
compiler_code(
    "publish-dirty",
    "error",
    family="publish",
    title="Files in the target with changes that are not committed, where it would be published to.",
    source="they would be lost",
)
compiler_code(
    "publish-folder", "error", family="publish", title="A folder that cannot be, or where the target has a file."
)
compiler_code(
    "publish-manifest",
    "error",
    family="publish",
    title="A manifest of what was published that is none, or of a later version.",
    source="nobody could say whose the files are",
)
compiler_code(
    "publish-owned",
    "error",
    family="publish",
    title="A file or dag_id of another project.",
    source="Airflow takes one of two DAGs of an id at random",
)
compiler_code(
    "publish-edited",
    "error",
    family="publish",
    title="A published file that was edited by hand.",
    source="the edit would be lost",
)
compiler_code(
    "publish-foreign",
    "error",
    family="publish",
    title="A file at a DAG's place that was not published from here.",
    source="it may be somebody's own",
)
compiler_code(
    "publish-tag",
    "error",
    family="publish",
    title="An image that is named by a tag, or not built.",
    source="kedro-airflow-k8s, whose DAGs named `latest`",
)
compiler_code(
    "publish-stale",
    "error",
    family="publish",
    title="An image that was built before its content changed.",
    source="kedro-plugins#652; DAG and image go apart",
)
compiler_code(
    "drift-missing",
    "error",
    family="publish",
    title="A DAG that was not published.",
    source="somebody forgot, or deleted it there",
)
compiler_code(
    "drift-extra",
    "error",
    family="publish",
    title="A published DAG that the project does not make any more.",
    source="Airflow goes on running it",
)
compiler_code(
    "drift-edited",
    "error",
    family="publish",
    title="A published file that was edited by hand, or copied there.",
    source="the next publish would lose the edit",
)
compiler_code(
    "drift-changed",
    "error",
    family="publish",
    title="A DAG that has changed in the project since it was published.",
    source="Airflow runs the old one",
)
compiler_code(
    "drift-image",
    "error",
    family="publish",
    title="Another image than the published one, or one that was built before its content changed.",
    source="kedro-plugins#652",
)
compiler_code(
    "drift-generator",
    "error",
    family="publish",
    title="DAGs that another version of this plugin has published.",
    source="two versions may write two files",
)
compiler_code(
    "publish-uncommitted",
    "warning",
    family="publish",
    title="Changes in the project that are not committed, or a commit that git cannot tell.",
    source="nobody knows what ran",
)
compiler_code("project", "error", family="environment", title="A project whose settings cannot be used.")
compiler_code("registry", "error", family="environment", title="Pipelines that cannot be loaded.")
compiler_code(
    "registry-warns", "warning", family="environment", title="What Kedro warns of while it loads the pipelines."
)
compiler_code(
    "registry-prints",
    "warning",
    family="environment",
    title="A project that prints while it is loaded.",
    source="its pods would, too",
)
compiler_code(
    "registry-swallowed",
    "error",
    family="environment",
    title="An import error that `find_pipelines()` has swallowed, with the pipelines behind it.",
    source="kedro#2943",
)
compiler_code(
    "hooks",
    "info",
    family="environment",
    title="Hooks that may change catalog or context, which is not seen here.",
    source="kedro-plugins#673",
)
compiler_code("catalog", "error", family="environment", title="A catalog that cannot be resolved.")
compiler_code("conf", "error", family="environment", title="A configuration file that cannot be read.")
compiler_code("conf-source", "error", family="environment", title="A configuration folder that no image would hold.")
compiler_code(
    "env",
    "error",
    family="environment",
    title="An environment that is not there, or that no image holds.",
    source="conf/local never goes into an image",
)
compiler_code("file", "error", family="environment", title="A file that cannot be read or written.")
compiler_code(
    "file-foreign", "error", family="environment", title="A file that `create` would overwrite and that is not its own."
)
compiler_code(
    "file-stale",
    "warning",
    family="environment",
    title="A DAG file of this project that the settings no longer make.",
    source="Airflow goes on running it",
)
