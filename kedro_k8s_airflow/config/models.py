"""The models of the settings file: the keys that users may write in `k8s_airflow.yml`, and what is refused.

Editors show the descriptions (schema.py), and docs/reference/settings.md lists them; `make docs` updates both.

Keys that end up in the pod are spelled as in a PodSpec or Container (camelCase), keys for Airflow as in Airflow
(snake_case). Defaults of a task's keys are in `defaults.BUILT_IN`, the first layer of its settings.
"""

# ruff: noqa: N815  Kubernetes spells its fields in camelCase

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from kedro_k8s_airflow.config import operator_arguments, types
from kedro_k8s_airflow.config.podspec import (
    KEDRO_ENV,
    KEDRO_ENV_PROBLEM,
    Affinity,
    ContainerSecurityContext,
    EnvFrom,
    EnvVar,
    PodSecurityContext,
    PodVolume,
    PullSecret,
    Resources,
    Toleration,
    VolumeMount,
)
from kedro_k8s_airflow.config.types import (
    Annotations,
    BaseImage,
    Choice,
    Distribution,
    DnsLabel,
    DnsName,
    Duration,
    Image,
    ImageName,
    JsonObject,
    Labels,
    Model,
    Moment,
    Mount,
    Names,
    Number,
    OneLine,
    Package,
    Pool,
    ProfileName,
    ProjectPath,
    Quantity,
    RuleName,
    Schedule,
    Seconds,
    Subfolder,
    SubPath,
    Text,
    Timezone,
    Variable,
    VolumeName,
    WithoutKey,
    forbid_null,
)


class VolumeSettings(Model):
    """A claim mounted in every pod; local catalog paths under its mount are shared."""

    claim: DnsName = Field(description="Name of the PersistentVolumeClaim.")
    mount: Mount = Field(
        description="Mount path: a folder relative to the project, such as `data`, or an absolute path."
    )
    subPath: SubPath | None = Field(
        default=None, description="Folder inside the claim to mount; defaults to the whole claim."
    )
    readOnly: bool = Field(default=False, description="Mount it read-only.")
    accessMode: Literal["ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod", "ReadOnlyMany"] | None = Field(
        default=None,
        description="Access mode that the claim actually has, for `check`. With `ReadWriteOnce`, all pods must run on "
        "one cluster node. `manifests` writes a claim only with its access mode.",
    )
    size: Quantity | None = Field(
        default=None, description="Size of the claim that `manifests` writes, such as `20Gi`; it does not change one."
    )
    storageClassName: DnsName | None = Field(
        default=None,
        description="Storage class of the claim that `manifests` writes; defaults to the default class of the cluster.",
    )


class ScratchSettings(Model):
    """Limits of the pod-local writable folders."""

    sizeLimit: Quantity = Field(
        default="2Gi",
        description="Size limit of `/tmp`, `HOME` and every other pod-local writable folder. A pod that exceeds it is "
        "evicted.",
    )


class StoreSettings(Model):
    """Where in-memory datasets are stored while they pass from task to task."""

    path: Text | None = Field(
        default=None,
        description="A folder on a volume, or a URL such as `s3://bucket/folder`. Required for `memory: store`.",
    )
    keep: Duration = Field(default=timedelta(days=7), description="How long the store keeps the data of failed runs.")


class DataSettings(Model):
    """How tasks pass data to each other."""

    volumes: dict[VolumeName, VolumeSettings] = Field(
        default_factory=dict, description="Claims to mount in every pod, by volume name."
    )
    reach: dict[Text, Literal["memory", "pod", "shared"]] = Field(
        default_factory=dict,
        description="How far a dataset reaches (`memory`, `pod` or `shared`), by dataset name or glob. Needed only "
        "where the catalog does not show it.",
    )
    pod_local: Literal["fuse", "refuse"] = Field(
        default="fuse",
        description="What to do with nodes that pass each other files on the pod's disk: `fuse` runs them in one pod, "
        "`refuse` makes it an error.",
    )
    memory: Literal["fuse", "store"] = Field(
        default="fuse",
        description="How to pass data in memory: `fuse` runs the nodes in one pod. `store` passes it between pods as "
        "a pickle; it needs a `group_by` other than `memory`.",
    )
    store: StoreSettings = Field(default=StoreSettings(), description="The store that `memory: store` uses.")
    discard: tuple[Text, ...] = Field(
        default=(), strict=False, description="Datasets (globs) that may be lost when the pod ends."
    )
    in_image: tuple[Text, ...] = Field(
        default=(),
        strict=False,
        description="Local paths (globs) that are part of the image; the image spec copies them.",
    )
    scratch: ScratchSettings = Field(default=ScratchSettings(), description="Pod-local writable folders.")

    @model_validator(mode="after")
    def _check_store_path(self) -> DataSettings:
        if self.memory == "store" and self.store.path is None:
            raise ValueError(
                "`memory: store` requires store.path: a folder on a volume, or a URL such as s3://bucket/folder"
            )
        return self


class Notifier(Model):
    """A message about a DAG run, sent through an Airflow connection."""

    slack: Text = Field(description="Connection id of a Slack incoming webhook. Airflow needs the Slack provider.")
    text: Text | None = Field(
        default=None,
        description="Message text, an Airflow Jinja template such as `{{ run_id }}`; defaults to a built-in message.",
    )


class FormField(Model):
    """How Airflow's trigger form shows a parameter, and what it accepts."""

    title: OneLine | None = Field(default=None, description="Label of the field, instead of the parameter's name.")
    description: Text | None = Field(default=None, description="Text below the field.")
    type: Literal["string", "integer", "number", "array", "object"] | None = Field(
        default=None, description="Type of a parameter whose default is null."
    )
    enum: Annotated[tuple[Choice, ...], Field(min_length=1)] | None = Field(
        default=None, strict=False, description="The values to choose from: texts or numbers, the default among them."
    )
    minimum: Number | None = Field(default=None, description="Least value of a number.")
    maximum: Number | None = Field(default=None, description="Greatest value of a number.")
    format: Literal["multiline", "date", "date-time", "time"] | None = Field(
        default=None, description="Kind of text: several lines, a date, a time, or both with an offset from UTC."
    )


def _parse_form_fields(value: object) -> object:
    """Return names of parameters, a list or a map with fields, as a map of fields."""
    if isinstance(value, list | tuple):
        for name in value:
            if not isinstance(name, str) or not name:
                raise ValueError(f"{name!r} in the list is not the name of a parameter")
        return {name: FormField() for name in value}
    if isinstance(value, dict):
        return {name: FormField() if field is None else field for name, field in value.items()}
    raise ValueError("it must be a list of names, or a map of names to fields")


def _allow_list_of_names(schema: dict[str, Any]) -> None:
    schema["type"] = ["array", "object"]
    schema["items"] = {"type": "string", "minLength": 1}
    schema["additionalProperties"] = {"anyOf": [schema["additionalProperties"], {"type": "null"}]}


FormFields = Annotated[
    dict[Text, FormField], BeforeValidator(_parse_form_fields), Field(json_schema_extra=_allow_list_of_names)
]
Retries = Annotated[int, Field(ge=0, lt=2**31)]


class DagSettings(Model):
    """One DAG; under `dag:` the defaults for all."""

    pipeline: Text | None = Field(default=None, description="Registered pipeline; defaults to the DAG's name.")
    group_by: Literal["none", "memory", "namespace", "chain"] = Field(
        default="memory",
        description="Which nodes share a pod: `none`, `memory`, `namespace` or `chain`; see docs/guides/grouping.md.",
    )
    schedule: Schedule = Field(
        default=None,
        description="A cron expression with five fields, a preset such as `@daily`, or `{every: 30m}`. Defaults to "
        "`null`: no schedule, manual runs only.",
    )
    timezone: Timezone = Field(
        default="UTC", description="Time zone of the schedule and the dates, such as `Europe/Paris`."
    )
    start_date: Moment = Field(
        default=datetime(2025, 1, 1),  # noqa: DTZ001  `timezone` holds the zone
        description="Earliest date to schedule, such as `2026-01-31` or `2026-01-31T06:00`.",
    )
    end_date: Moment | None = Field(default=None, description="Latest date to schedule; defaults to no end.")
    catchup: bool = Field(default=False, description="Run the intervals missed since `start_date`.")
    max_active_runs: Annotated[int, Field(ge=1)] = Field(
        default=1, description="Maximum number of concurrent runs. Kedro pipelines usually write to fixed paths."
    )
    max_active_tasks: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Maximum number of concurrent tasks; defaults to Airflow's own limit."
    )
    dagrun_timeout: Duration | None = Field(
        default=None, description="Maximum duration of a run, after which it fails; defaults to no limit."
    )
    retries: Retries = Field(default=0, description="Number of retries of each task, unless a rule sets another.")
    retry_delay: Duration = Field(default=timedelta(minutes=5), description="Delay before a retry.")
    quota_wait: Duration | None = Field(
        default=None,
        description="How long a task waits for room in the namespace's resource quota before the try fails; it holds a "
        "worker slot meanwhile, and `execution_timeout` includes the wait.",
    )
    retry_exponential_backoff: bool = Field(default=False, description="Increase the delay with each retry.")
    owner: Text | None = Field(default=None, description="Owner shown in Airflow.")
    tags: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = Field(
        default=(), strict=False, description="Tags shown in Airflow."
    )
    description: Text | None = Field(default=None, description="One-line description shown in Airflow.")
    doc_md: Text | None = Field(default=None, description="Markdown documentation shown in Airflow.")
    doc_graph: bool = Field(
        default=False,
        description="Append the graph of `plan --format mermaid` to `doc_md`. Airflow shows it as text; see "
        "docs/reference/commands.md.",
    )
    dag_display_name: Text | None = Field(
        default=None, description="Display name shown in Airflow instead of the dag_id."
    )
    is_paused_upon_creation: bool | None = Field(
        default=None, description="Whether a new DAG starts paused; defaults to Airflow's configuration."
    )
    on_failure: Notifier | None = Field(default=None, description="Message to send when a run fails.")
    on_success: Notifier | None = Field(default=None, description="Message to send when a run succeeds.")
    params: FormFields = Field(
        default_factory=dict,
        description="Kedro parameters, by dotted name, to show in Airflow's trigger form: a list of names, or a map of names "
        "to fields.",
    )
    macros: dict[Text, Text] = Field(
        default_factory=dict,
        description="Kedro parameters that take their value from the run: `{run_date: run_date}`, or one Airflow "
        'expression, `{run: "{{ run_id }}"}`; see docs/how-it-works/dag-file.md.',
    )
    narrow_pipeline: bool = Field(
        default=True,
        description="Let each task load the smallest registered pipeline that is proven to contain its nodes.",
    )

    @field_validator("doc_md")
    @classmethod
    def _refuse_file_name(cls, value: str | None) -> str | None:
        if value is not None and value.endswith(".md"):
            raise ValueError("Airflow treats a doc_md that ends in .md as a file name; write the text itself")
        return value

    def overlay_with(self, other: DagSettings) -> DagSettings:
        """Return these settings, overridden by every key that `other` sets."""
        return self.model_copy(update={name: getattr(other, name) for name in other.model_fields_set})


class Match(Model):
    """Which nodes a rule or group applies to: a list means any of its values, several keys mean all of them."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    node: Names | None = Field(default=None, json_schema_extra=forbid_null, description="Node names (glob).")
    tag: Names | None = Field(default=None, json_schema_extra=forbid_null, description="Tags.")
    namespace: Names | None = Field(
        default=None, json_schema_extra=forbid_null, description="Namespaces, including nested ones."
    )
    pipeline: Names | None = Field(
        default=None, json_schema_extra=forbid_null, description="Registered pipelines that contain the node."
    )
    reads: Names | None = Field(
        default=None, json_schema_extra=forbid_null, description="Datasets that the node loads (glob)."
    )
    writes: Names | None = Field(
        default=None, json_schema_extra=forbid_null, description="Datasets that the node saves (glob)."
    )

    @model_validator(mode="after")
    def _check_match(self) -> Match:
        values = [getattr(self, name) for name in self.model_fields_set]
        if not values or None in values:
            raise ValueError(f"it must match by at least one of {', '.join(type(self).model_fields)}")
        return self


class TaskSettings(Model):
    """Settings of a task, for the pod (camelCase) and for Airflow (snake_case)."""

    # the pod
    image: Image | None = Field(
        default=None,
        description="Image to use instead of the project's: a name from `images`, or an image reference with a tag or "
        "digest.",
    )
    imagePullPolicy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        default=None, description="When a cluster node pulls the image."
    )
    imagePullSecrets: list[PullSecret] | None = Field(
        default=None, description="Secrets for the registry: `[{name: ...}]`."
    )
    resources: Resources | None = Field(
        default=None, description="Requests and limits of CPU, memory and devices such as `nvidia.com/gpu`."
    )
    env: list[EnvVar] | None = Field(
        default=None,
        description="Environment variables, a list as in a Container. Literals that look like credentials are refused.",
    )
    envFrom: list[EnvFrom] | None = Field(
        default=None,
        description="Secrets and ConfigMaps whose keys all become environment variables, a list as in a Container.",
    )
    nodeSelector: dict[str, str | None] | None = Field(
        default=None, description="Labels that a cluster node must have."
    )
    tolerations: list[Toleration] | None = Field(
        default=None, description="Taints of cluster nodes that the pod tolerates."
    )
    affinity: Affinity | None = Field(default=None, description="Scheduling preferences, as in a PodSpec.")
    serviceAccountName: DnsName | None = Field(
        default=None, description="ServiceAccount of the pod; defaults to the namespace's default."
    )
    automountServiceAccountToken: bool | None = Field(default=None, description="Mount a token for the Kubernetes API.")
    priorityClassName: DnsName | None = Field(default=None, description="PriorityClass of the pod.")
    runtimeClassName: DnsName | None = Field(default=None, description="RuntimeClass of the pod.")
    schedulerName: DnsName | None = Field(
        default=None, description="Scheduler of the pod; defaults to the cluster's default scheduler."
    )
    dnsPolicy: Literal["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"] | None = Field(
        default=None, description="DNS policy of the pod; defaults to `ClusterFirst`."
    )
    terminationGracePeriodSeconds: Seconds | None = Field(
        default=None,
        description="Time the pod gets to shut down, in seconds or as a duration such as `90s`; defaults to 30.",
    )
    activeDeadlineSeconds: Annotated[Seconds, Field(ge=1)] | None = Field(
        default=None,
        json_schema_extra={"minimum": 1},
        description="Kill the pod after this time, in seconds or as a duration such as `2h`; `null` means never. "
        "Defaults to a value derived from `execution_timeout`, or to one day; see "
        "docs/how-it-works/dag-file.md.",
    )
    podSecurityContext: PodSecurityContext | None = Field(
        default=None,
        description="Security context of the pod, merged with the default field by field; `null` removes a field. On "
        "OpenShift: `{runAsUser: null, fsGroup: null}`.",
    )
    securityContext: ContainerSecurityContext | None = Field(
        default=None,
        description="Security context of the container, merged with the default field by field. The default allows no "
        "privilege escalation, drops all capabilities and makes the root file system read-only.",
    )
    volumes: list[PodVolume] | None = Field(default=None, description="Additional volumes, a list as in a PodSpec.")
    volumeMounts: list[VolumeMount] | None = Field(
        default=None, description="Mounts of additional volumes, a list as in a Container."
    )
    runner: Literal["SequentialRunner", "ThreadRunner", "ParallelRunner", "kedro"] | None = Field(
        default=None,
        description="Kedro runner inside the pod: `SequentialRunner` (the default), `ThreadRunner`, `ParallelRunner`, "
        "or `kedro` for a plain `kedro run`; see docs/how-it-works/how-it-runs.md.",
    )
    labels: Labels | None = Field(default=None, description="Additional labels of the pod.")
    annotations: Annotations | None = Field(default=None, description="Additional annotations of the pod.")
    # Airflow
    retries: Retries | None = Field(default=None, description="Number of retries; defaults to the DAG's.")
    retry_delay: Duration | None = Field(default=None, description="Delay before a retry; defaults to the DAG's.")
    execution_timeout: Duration | None = Field(
        default=None, description="Maximum duration of the task, after which it fails; defaults to no limit."
    )
    pool: Pool | None = Field(default=None, description="Airflow pool; defaults to `default_pool`.")
    priority_weight: Annotated[int, Field(ge=-(2**31), lt=2**31)] | None = Field(
        default=None, description="Airflow priority weight; higher values are scheduled first. Defaults to 1."
    )
    queue: Text | None = Field(default=None, description="Queue of the executor; defaults to Airflow's configuration.")
    executor: Text | None = Field(
        default=None, description="Executor, by name or alias; defaults to Airflow's configuration."
    )
    trigger_rule: Literal[types.TRIGGER_RULES] | None = Field(  # type: ignore[valid-type]
        default=None, description="Airflow trigger rule; defaults to `all_success`."
    )
    kubernetes_conn_id: Text | None = Field(
        default=None, description="Connection id of the cluster; defaults to `kubernetes_default`."
    )
    in_cluster: bool | None = Field(
        default=None,
        description="Whether Airflow uses the ServiceAccount of its own pod to reach the cluster; defaults to the "
        "connection's setting.",
    )
    cluster_context: Text | None = Field(
        default=None, description="Context of the kubeconfig; defaults to the connection's."
    )
    deferrable: bool | None = Field(
        default=None,
        description="Wait for the pod in the triggerer instead of occupying a worker slot. Airflow must run a "
        "triggerer.",
    )
    operator: JsonObject | None = Field(
        default=None,
        json_schema_extra=operator_arguments.add_argument_schemas,
        description="Other arguments of KubernetesPodOperator or BaseOperator, checked by name and type. An argument "
        "that has its own key here is refused, and the message names that key.",
    )

    @field_validator("labels")
    @classmethod
    def _check_labels(cls, value: dict[str, str | None] | None) -> dict[str, str | None] | None:
        return None if value is None else types.check_labels(value)

    @field_validator("annotations")
    @classmethod
    def _check_annotations(cls, value: dict[str, str | None] | None) -> dict[str, str | None] | None:
        return None if value is None else types.check_annotations(value)

    @field_validator("env")
    @classmethod
    def _refuse_duplicates(cls, value: list[EnvVar] | None) -> list[EnvVar] | None:
        names = [variable.name for variable in value or []]
        duplicate = next((name for name in names if names.count(name) > 1), None)
        if duplicate is not None:
            raise ValueError(f"{duplicate} is defined twice")
        return value

    @field_validator("operator")
    @classmethod
    def _check_arguments(cls, value: JsonObject | None) -> JsonObject | None:
        problems = {
            name: operator_arguments.find_argument_problem(name, argument) for name, argument in (value or {}).items()
        }
        types.refuse_keys(value or {}, {name: problem for name, problem in problems.items() if problem})
        return value


class TaskRule(TaskSettings):
    """Settings for the nodes that match; without `match`, for all nodes."""

    match: Match | None = Field(
        default=None,
        json_schema_extra=forbid_null,
        description="Nodes that the rule applies to; defaults to all nodes.",
    )
    profile: Text | None = Field(
        default=None,
        json_schema_extra=forbid_null,
        description="A name from `profiles`. The rule's own settings override those of the profile.",
    )

    @model_validator(mode="after")
    def _refuse_empty_match(self) -> TaskRule:
        if "match" in self.model_fields_set and self.match is None:
            raise ValueError(
                "`match` is empty; give it a key such as `node`, or remove it to apply the rule to every node"
            )
        return self


class CredentialsSecret(Model):
    """The Secret key that holds a Kedro credentials file."""

    name: DnsName = Field(description="Name of the Secret.")
    key: Text = Field(description="Key of the Secret whose value is the YAML of the credentials.")


# Development tools in the requirements that Kedro's own starters write. Kedro plugins make every pod start up to 2.8 times
# slower.
DEVELOPMENT_PACKAGES = ("jupyterlab", "kedro-airflow", "kedro-docker", "kedro-k8s-airflow", "kedro-viz", "notebook")


class BuildSettings(Model):
    """What an image is built from; under `build:` for all images, under `images.<name>:` for one."""

    base: BaseImage | None = Field(
        default=None,
        description="Base image with Python, by tag or digest. Defaults to `python:X.Y-slim`, with the newest X.Y "
        "that `requires-python` allows.",
    )
    uv: BaseImage = Field(default="astral/uv:0.13.9", description="Image to copy uv from.")
    groups: tuple[Distribution, ...] = Field(
        default=(), strict=False, description="Dependency groups of `pyproject.toml` to install."
    )
    extras: tuple[Distribution, ...] = Field(
        default=(), strict=False, description="Extras of `pyproject.toml` to install."
    )
    exclude: tuple[Distribution, ...] = Field(
        default=DEVELOPMENT_PACKAGES,
        strict=False,
        description="Packages to leave out of the image, unless the project imports them.",
    )
    packages: tuple[Package, ...] = Field(
        default=(), strict=False, description="Debian packages to install in the image."
    )
    build_packages: tuple[Package, ...] = Field(
        default=(), strict=False, description="Debian packages needed only while dependencies are installed."
    )
    java: bool = Field(default=False, description="Install a Java runtime, for Spark.")
    env: dict[Variable, OneLine] = Field(default_factory=dict, description="Environment variables of the image.")
    args: dict[Variable, OneLine] = Field(
        default_factory=dict, description="Build arguments for installing the dependencies, with their defaults."
    )
    secrets: tuple[Variable, ...] = Field(
        default=(),
        strict=False,
        description="Build secrets available as environment variables while dependencies are installed.",
    )
    prefix: tuple[OneLine, ...] = Field(
        default=(),
        strict=False,
        description="Command prefix for every pod, such as `[uv, run, --no-sync]`; only under `build`.",
    )

    @field_validator("env")
    @classmethod
    def _refuse_kedro_env(cls, value: dict[str, str]) -> dict[str, str]:
        types.refuse_keys(value, {KEDRO_ENV: KEDRO_ENV_PROBLEM} if KEDRO_ENV in value else {})
        return value

    @field_validator("prefix")
    @classmethod
    def _require_no_sync(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value and value[0].rpartition("/")[2] == "uv" and (value[1:2] != ("run",) or "--no-sync" not in value):
            raise ValueError(
                "without --no-sync, `uv run` installs packages each time a pod starts; write [uv, run, --no-sync]"
            )
        return value

    @property
    def keeps_uv(self) -> bool:
        """Return whether uv starts the pods and so must stay in the image."""
        return bool(self.prefix) and self.prefix[0].rpartition("/")[2] == "uv"

    def overlay_with(self, other: BuildSettings) -> BuildSettings:
        """Return these settings, overridden by every key that `other` sets; maps are merged."""
        overrides = {name: getattr(other, name) for name in other.model_fields_set}
        maps = {name: {**getattr(self, name), **value} for name, value in overrides.items() if isinstance(value, dict)}
        return self.model_copy(update={**overrides, **maps})


class CheckSettings(Model):
    """Findings that `check` and `create` hide."""

    ignore: tuple[Text, ...] = Field(
        default=(),
        strict=False,
        description="Codes or families of findings to hide; see docs/reference/checks.md.",
    )


DEFAULT_IMAGE = "default"


class PublishSettings(Model):
    """Where the DAGs are published; the options of `publish` override it."""

    to: Text | None = Field(
        default=None,
        description="Git repository that Airflow reads: a folder with a checkout, relative to the project, or a URL "
        "that git can clone. Leave out passwords; git uses its own credentials.",
    )
    subfolder: Subfolder = Field(
        default="dags", description="Folder in that repository for the DAG files; `.` for its root."
    )
    base: Text | None = Field(
        default=None,
        description="Branch that Airflow reads. Defaults to the branch that is checked out, or to the default branch "
        "of a URL.",
    )
    branch: Text | None = Field(
        default=None, description="Branch to commit to, for a pull request to `base`; defaults to `base`."
    )


class Settings(Model):
    """The content of `k8s_airflow.yml`."""

    image: Image = Field(
        description="`[registry/]repository[:tag][@sha256:...]`; `latest` is refused. Without a tag or digest, the "
        "DAG uses the image in the image lock (docs/guides/image.md). Before the first build it uses the "
        "tag `unbuilt`, and `create` warns."
    )
    namespace: DnsLabel = Field(default="default", description="Kubernetes namespace of the pods.")
    project_path: ProjectPath = Field(default="/app", description="Folder of the project in the image.")
    credentials_secret: CredentialsSecret | None = Field(
        default=None,
        description="A Secret with a Kedro credentials file, mounted as `credentials_from_secret.yml` in the "
        "configuration of the run environment. It must contain all credentials that the catalog uses, "
        "because Kedro resolves all of them when a session starts.",
    )
    build: BuildSettings = Field(default_factory=BuildSettings, description="What the image is built from.")
    images: dict[ImageName, Annotated[BuildSettings, WithoutKey("prefix")]] = Field(
        default_factory=dict,
        description="Additional images of the project, by name. Keys that are not set default to those under `build`.",
    )
    data: DataSettings = Field(
        default_factory=DataSettings, description="How tasks pass data to each other; see docs/guides/data.md."
    )
    dag: Annotated[DagSettings, WithoutKey("pipeline")] = Field(
        default_factory=DagSettings, description="Defaults for every DAG."
    )
    dags: dict[Text, DagSettings] = Field(
        default_factory=dict, description="DAGs by name; defaults to one DAG for the pipeline `__default__`."
    )
    groups: dict[Text, Match | None] = Field(
        default_factory=dict,
        description="Nodes that share a pod, as a match by group name; `null` removes a group of another environment; "
        "see docs/guides/grouping.md.",
    )
    profiles: dict[ProfileName, TaskSettings | None] = Field(
        default_factory=dict,
        description="Named settings, for rules that refer to them and for nodes with the tag `k8s.<name>`; `null` "
        "removes a profile of another environment.",
    )
    tasks: dict[RuleName, TaskRule | None] = Field(
        default_factory=dict,
        description="Rules by name; later rules override earlier ones. `null` removes a rule of another environment.",
    )
    checks: CheckSettings = Field(
        default_factory=CheckSettings, description="Which findings `check` and `create` do not report."
    )
    publish: PublishSettings = Field(
        default=PublishSettings(), description="Where `publish` puts the DAGs; see docs/guides/publish.md."
    )

    @field_validator("images")
    @classmethod
    def _refuse_prefix(cls, value: dict[str, BuildSettings]) -> dict[str, BuildSettings]:
        if any("prefix" in build.model_fields_set for build in value.values()):
            raise ValueError("`prefix` applies to the pods of all images; set it under `build:`")
        return value

    @property
    def image_names(self) -> tuple[str, ...]:
        """Return the names of the project's images, the default one first."""
        return tuple(dict.fromkeys((DEFAULT_IMAGE, *self.images)))

    def build_of(self, name: str) -> BuildSettings:
        """Return what the image of that name is built from."""
        return self.build.overlay_with(self.images[name]) if name in self.images else self.build

    @field_validator("dag")
    @classmethod
    def _refuse_pipeline(cls, value: DagSettings) -> DagSettings:
        if "pipeline" in value.model_fields_set:
            raise ValueError("`dag:` holds the defaults for all DAGs; set `pipeline` for one DAG, under `dags:`")
        return value


def parse_settings(raw: dict[str, Any]) -> Settings:
    """Return the settings in a mapping.

    Raises:
        pydantic.ValidationError: see `loader.load_settings` for the messages that users get.
    """
    # YAML reads a key whose content is commented out as null; it counts as not set.
    return Settings.model_validate({key: value for key, value in raw.items() if value is not None})
