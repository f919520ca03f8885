"""What the compiler itself finds on its way: findings that are no rules, for the table."""

from __future__ import annotations

from kedro_k8s_airflow.checks.registry import elsewhere

# family, code, severity | what it is | the failure behind it
_TOLD = """
data data-memory error | Data in memory that has to go from pod to pod (`group_by: none`). | kedro-plugins#655, #998 and #1085
data data-pod error | A file of one pod's disk that another pod loads (`group_by: none`, `pod_local: refuse`). | kedro#5778
data data-confirms error | A dataset that one pod confirms and another loads (`group_by: none`). | kedro.io keeps it in the loading process
data data-place error | Data saved beside the project's own files, or into a folder that the image carries. | our pods' root is read-only
data store error | A store for data in memory that not every pod could reach. | kedro-databricks#135
data volume error | A volume that hides files of the image, or lies where another does. | kedro-airflow-k8s, whose volume hid what the image had
graph settings-clash error | Nodes that have to share a pod and whose settings contradict each other. | kedro-vertexai#129
graph pipeline-alone error | A pipeline that Kedro cannot load by itself, as pods do. | Kedro 1.5 to 1.7, where `kedro run --pipelines` fails alike
names dag-id error | Two DAGs of one dag_id. | kedro-airflow, where the ids of `--all` collide
names pipeline error | A pipeline that the project does not register. | -
names pipeline-empty error | A pipeline without nodes. | a DAG without tasks runs, and does nothing
names pipeline-skipped warning | A pipeline without nodes, among all (`--all`). | a DAG without tasks runs, and does nothing
settings settings error | There is no settings file. | -
settings settings-there error | `init` found a settings file. | -
settings settings-unknown error | A key that is no setting. | kedro-airflow, where `retry: 3` does nothing
settings settings-missing error | A key that is required. | -
settings settings-value error | A value that Kubernetes, Airflow or we cannot use, and why. | cosmos#1821 and dag-factory#520
settings settings-type error | A value of the wrong type. | cosmos#1821
settings rule-unmatched error | A rule or group that matches no node of any registered pipeline. | kedro-databricks#110
settings profile-unknown error | A profile that is not there, asked for by a rule or by a node's tag. | kedro-databricks#110
schedule schedule error | Dates or limits that Airflow would refuse or never run. | Airflow's own checks at import
names explain-unknown error | A name that is no task's, node's or dataset's. | -
settings checks-unknown error | A code under `checks.ignore`, `--select` or `--ignore` that is no finding's, or one that cannot be ignored. | -
parameters param-unknown error | A parameter that is offered and that the project does not have. | kedro-airflow-k8s#101
parameters param-dotted error | A parameter whose own key has a dot, so that a run cannot change it. | Kedro's runtime parameters split at dots
parameters param-twice error | A parameter that is given in two ways, or is part of another that is. | the order of the two would decide
parameters param-number error | A number that JSON cannot write. | apache/airflow serialises parameters as JSON
parameters param-type error | A value that JSON cannot write, such as a date. | apache/airflow serialises parameters as JSON
parameters param-size error | Parameters of more than 100 KB. | Linux takes 128 KiB for one variable
parameters macro error | A macro that is no expression of Airflow's templates. | Airflow would say so in the first run
parameters param-runtime error | A configuration that needs a runtime parameter nobody gives. | Kedro's `${runtime_params:}` without a default
image image-no-lock warning | Neither uv.lock nor requirements.txt, so that two builds may differ. | two builds of one commit that differ
image image-no-kedro warning | Dependencies without Kedro. | a public project, whose image had none
image image-local warning | A requirement that lies in the project. | the build stops at it
image image-excluded info | Packages for development that the image goes without. | kedro#5207
image image-python warning | No Python that Kedro runs on is allowed. | Kedro 1.7 needs 3.10 to 3.13
image image-path error | A path that a Dockerfile cannot name. | -
image image-groups error | A group or extra of dependencies that the project does not have. | `uv sync` stops at it
image image-requirements error | A requirement file that is not there. | the build stops at it
image image-unknown error | An image that is neither one of the project's nor a whole reference. | Kubernetes would take `latest`
image image-lock error | An image lock that is none. | -
image image-engine error | No engine to build with, or one that is not there. | -
image image-platform error | A platform that cannot be built. | kedro-azureml#87
image image-epoch error | SOURCE_DATE_EPOCH that is no number. | -
image image-tag error | A tag that an image must not have. | `latest` names another image tomorrow
image image-secret error | A build secret that is not there, or not asked for. | -
image image-ignore error | A .dockerignore that leaves out what the image needs, or is none. | the public starter astro-airflow-iris
image image-build error | The engine could not build. | -
image image-changed error | Files that changed while the image was being built. | the lock would name another content
image image-digest error | A push without a digest. | -
image image-contract error | An image that pods could not run in. | own Dockerfiles that broke it, one by one (docs/guides/image.md)
security secret error | A literal that looks like a credential, where a DAG, an image or a log would show it. | apache/airflow#17604 and #68975
publish publish-to error | A target that is no repository, or that nobody names. | -
publish publish-password error | An address with a password in it. | shells, logs and process lists show it
publish publish-git error | Git cannot do what is asked of it; its own words are shown. | -
publish publish-identity error | Git does not know who commits. | `git commit` stops at it, too
publish publish-branch error | A branch that cannot be, is not there or is checked out elsewhere. | git would change files under another work tree
publish publish-remote error | A repository without a remote to push to. | -
publish publish-diverged error | A branch and its remote with commits of their own. | only a person can say which are to stay
publish publish-moved error | Somebody else was publishing at the same time. | two jobs of CI that end in one minute
publish publish-dirty error | Files in the target with changes that are not committed, where it would be published to. | they would be lost
publish publish-folder error | A folder that cannot be, or where the target has a file. | -
publish publish-manifest error | A manifest of what was published that is none, or of a later version. | nobody could say whose the files are
publish publish-owned error | A file or dag_id of another project. | Airflow takes one of two DAGs of an id at random
publish publish-edited error | A published file that was edited by hand. | the edit would be lost
publish publish-foreign error | A file at a DAG's place that was not published from here. | it may be somebody's own
publish publish-tag error | An image that is named by a tag, or not built. | kedro-airflow-k8s, whose DAGs named `latest`
publish publish-stale error | An image that was built before its content changed. | kedro-plugins#652; DAG and image go apart
publish drift-missing error | A DAG that was not published. | somebody forgot, or deleted it there
publish drift-extra error | A published DAG that the project does not make any more. | Airflow goes on running it
publish drift-edited error | A published file that was edited by hand, or copied there. | the next publish would lose the edit
publish drift-changed error | A DAG that has changed in the project since it was published. | Airflow runs the old one
publish drift-image error | Another image than the published one, or one that was built before its content changed. | kedro-plugins#652
publish drift-generator error | DAGs that another version of this plugin has published. | two versions may write two files
publish publish-uncommitted warning | Changes in the project that are not committed, or a commit that git cannot tell. | nobody knows what ran
environment project error | A project whose settings cannot be used. | -
environment registry error | Pipelines that cannot be loaded. | -
environment registry-warns warning | What Kedro warns of while it loads the pipelines. | -
environment registry-prints warning | A project that prints while it is loaded. | its pods would, too
environment registry-swallowed error | An import error that `find_pipelines()` has swallowed, with the pipelines behind it. | kedro#2943
environment hooks info | Hooks that may change catalog or context, which is not seen here. | kedro-plugins#673
environment catalog error | A catalog that cannot be resolved. | -
environment conf error | A configuration file that cannot be read. | -
environment conf-source error | A configuration folder that no image would hold. | -
environment env error | An environment that is not there, or that no image holds. | conf/local never goes into an image
environment file error | A file that cannot be read or written. | -
environment file-foreign error | A file that `create` would overwrite and that is not its own. | -
environment file-stale warning | A DAG file of this project that the settings no longer make. | Airflow goes on running it
"""

for _line in _TOLD.strip().splitlines():
    _where, _title, _source = _line.split(" | ")
    _family, _code, _severity = _where.split()
    elsewhere(_code, _severity, _family, _title, "" if _source == "-" else _source)  # type: ignore[arg-type]
