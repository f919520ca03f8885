"""The settings file: what users may write in `k8s_airflow.yml`, key by key, and what is refused.

The descriptions are what editors show (schema.py), and the tables of docs/reference/settings.md; `make docs` makes both again.

One spelling rule: what lands in the pod is spelled as in a PodSpec or Container (camelCase), what Airflow does is spelled
as in Airflow (snake_case). Defaults of a task's keys are not here but in `rules.BUILT_IN`, the first layer of its settings.
"""

# ruff: noqa: N815  Kubernetes spells its fields in camelCase

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from kedro_k8s_airflow.config import operator_arguments, types
from kedro_k8s_airflow.config.podspec import (
    Affinity,
    ContainerSecurityContext,
    EnvFrom,
    EnvVar,
    PodSecurityContext,
    PodVolume,
    Resources,
    SourceRef,
    Toleration,
    VolumeMount,
)
from kedro_k8s_airflow.config.types import (
    Annotations,
    BaseImage,
    Distribution,
    DnsLabel,
    DnsName,
    Duration,
    Image,
    ImageName,
    Labels,
    Mapping,
    Model,
    Moment,
    Mount,
    Names,
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
    never_null,
)


class VolumeSettings(Model):
    """A claim mounted in every pod; local paths of the catalog under its mount are shared."""

    claim: DnsName = Field(description="Name of the PersistentVolumeClaim.")
    mount: Mount = Field(description="Where it appears: a folder relative to the project, such as `data`, or absolute.")
    subPath: SubPath | None = Field(
        default=None, description="Folder inside the claim that is mounted; else all of it."
    )
    readOnly: bool = Field(default=False, description="Mount it read-only.")
    accessMode: Literal["ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod", "ReadOnlyMany"] | None = Field(
        default=None,
        description="Access mode that the claim really has, for `check`: `ReadWriteOnce` holds all pods on one cluster node.",
    )


class ScratchSettings(Model):
    """The pod's own writable folders."""

    sizeLimit: Quantity = Field(
        default="2Gi",
        description="Size of `/tmp`, `HOME` and every other writable folder of the pod's own, in bytes; beyond it the pod is evicted.",
    )


class StoreSettings(Model):
    """Where datasets in memory are kept while they go from task to task."""

    path: Text | None = Field(
        default=None,
        description="A folder on a volume, or a URL such as `s3://bucket/folder`. `memory: store` needs it.",
    )
    keep: Duration = Field(default=timedelta(days=7), description="How long failed runs leave theirs there.")


class DataSettings(Model):
    """How data gets from task to task."""

    volumes: dict[VolumeName, VolumeSettings] = Field(
        default_factory=dict, description="Claims that every pod mounts, by a name for each."
    )
    reach: dict[Text, Literal["memory", "pod", "shared"]] = Field(
        default_factory=dict,
        description="How far data goes, `memory`, `pod` or `shared`, by dataset name or glob, where the catalog cannot tell.",
    )
    pod_local: Literal["fuse", "refuse"] = Field(
        default="fuse",
        description="Nodes that hand each other files of the pod's disk: `fuse` puts them into one pod, `refuse` makes it an error.",
    )
    memory: Literal["fuse", "store"] = Field(
        default="fuse",
        description="Data in memory: `fuse` keeps it in one pod; with `store`, and `group_by` other than `memory`, it goes from pod "
        "to pod as a pickle in the store.",
    )
    store: StoreSettings = Field(default=StoreSettings(), description="The store of `memory: store`.")
    discard: tuple[Text, ...] = Field(
        default=(), strict=False, description="Datasets (globs) that may be lost with the pod."
    )
    in_image: tuple[Text, ...] = Field(
        default=(), strict=False, description="Local paths (globs) that the image carries; the image spec copies them."
    )
    scratch: ScratchSettings = Field(default=ScratchSettings(), description="Writable folders of the pod's own.")

    @model_validator(mode="after")
    def _store_said(self) -> DataSettings:
        if self.memory == "store" and self.store.path is None:
            raise ValueError(
                "`memory: store` needs store.path: a folder on a volume, or a URL such as s3://bucket/folder"
            )
        return self


class Notifier(Model):
    """A message about a DAG run, sent over an Airflow connection."""

    slack: Text = Field(
        description="Connection id of an incoming webhook of Slack; needs the Slack provider in Airflow."
    )
    text: Text | None = Field(
        default=None,
        description="The message, in Airflow's Jinja, such as `{{ run_id }}`; a text of ours if not given.",
    )


Retries = Annotated[int, Field(ge=0, lt=2**31)]


class DagSettings(Model):
    """One DAG; under `dag:` the defaults of all."""

    pipeline: Text | None = Field(default=None, description="Registered pipeline; the DAG's own name if not given.")
    group_by: Literal["none", "memory", "namespace", "chain"] = Field(
        default="memory",
        description="Which nodes share a pod: `none`, `memory`, `namespace` or `chain`; see docs/guides/grouping.md.",
    )
    schedule: Schedule = Field(
        default=None,
        description="A cron line of five fields, a preset such as `@daily`, `{every: 30m}`, or `null`, the default: runs by hand.",
    )
    timezone: Timezone = Field(default="UTC", description="Of the schedule and the dates, such as `Europe/Paris`.")
    start_date: Moment = Field(
        default=datetime(2025, 1, 1),  # noqa: DTZ001  `timezone` says where
        description="First moment that can be scheduled: `2026-01-31` or `2026-01-31T06:00`.",
    )
    end_date: Moment | None = Field(default=None, description="Last moment that can be scheduled; none if not given.")
    catchup: bool = Field(default=False, description="Run what was missed since `start_date`.")
    max_active_runs: Annotated[int, Field(ge=1)] = Field(
        default=1, description="Runs at the same time. Kedro pipelines usually write fixed paths."
    )
    max_active_tasks: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Tasks at the same time; Airflow's own limit if not given."
    )
    dagrun_timeout: Duration | None = Field(
        default=None, description="A run that lasts longer fails; no limit if not given."
    )
    retries: Retries = Field(default=0, description="Of every task, unless a rule says otherwise.")
    retry_delay: Duration = Field(default=timedelta(minutes=5), description="Wait before a retry.")
    retry_exponential_backoff: bool = Field(default=False, description="Wait longer before each further retry.")
    owner: Text | None = Field(default=None, description="Owner, as Airflow shows it.")
    tags: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = Field(
        default=(), strict=False, description="Tags, as Airflow shows them."
    )
    description: Text | None = Field(default=None, description="One line, as Airflow shows it.")
    doc_md: Text | None = Field(default=None, description="Markdown that Airflow shows with the DAG.")
    doc_graph: bool = Field(
        default=False,
        description="Add the picture of `plan --format mermaid` to `doc_md`, which Airflow shows as text; see docs/reference/commands.md.",
    )
    dag_display_name: Text | None = Field(default=None, description="Name that Airflow shows instead of the dag_id.")
    is_paused_upon_creation: bool | None = Field(
        default=None, description="Whether a new DAG starts paused; as Airflow is configured if not given."
    )
    on_failure: Notifier | None = Field(default=None, description="Message that is sent when a run failed.")
    on_success: Notifier | None = Field(default=None, description="Message that is sent when a run succeeded.")
    params: tuple[Text, ...] = Field(
        default=(), strict=False, description="Kedro parameters, by dotted name, of Airflow's trigger form."
    )
    macros: dict[Text, Text] = Field(
        default_factory=dict,
        description="Kedro parameters that the run decides: `{run_date: run_date}`, or one Airflow expression, "
        '`{run: "{{ run_id }}"}`; see docs/how-it-works/dag-file.md.',
    )
    narrow_pipeline: bool = Field(
        default=True,
        description="A task loads the smallest registered pipeline that is proven to hold its nodes.",
    )

    @field_validator("doc_md")
    @classmethod
    def _not_a_file(cls, value: str | None) -> str | None:
        if value is not None and value.endswith(".md"):
            raise ValueError("Airflow reads a doc_md that ends in .md as the name of a file; write the text itself")
        return value

    def overlaid_by(self, other: DagSettings) -> DagSettings:
        """These settings, with every key that `other` states taken from it."""
        return self.model_copy(update={name: getattr(other, name) for name in other.model_fields_set})


class Match(Model):
    """Which nodes a rule or a group is for: a list is any-of, several keys are all-of."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    node: Names | None = Field(default=None, json_schema_extra=never_null, description="Node names (glob).")
    tag: Names | None = Field(default=None, json_schema_extra=never_null, description="Tags.")
    namespace: Names | None = Field(
        default=None, json_schema_extra=never_null, description="Namespaces, with all below them."
    )
    pipeline: Names | None = Field(
        default=None, json_schema_extra=never_null, description="Registered pipelines that hold the node."
    )
    reads: Names | None = Field(
        default=None, json_schema_extra=never_null, description="Datasets that the node loads (glob)."
    )
    writes: Names | None = Field(
        default=None, json_schema_extra=never_null, description="Datasets that the node saves (glob)."
    )

    @model_validator(mode="after")
    def _says_something(self) -> Match:
        said = {name: getattr(self, name) for name in self.model_fields_set}
        if not said or None in said.values():
            raise ValueError(f"say what to match: {', '.join(type(self).model_fields)}")
        return self


class TaskSettings(Model):
    """What a task can be told, in the pod (camelCase) and in Airflow (snake_case)."""

    # the pod
    image: Image | None = Field(
        default=None,
        description="Another image than the project's: a name of `images`, or an image with its tag or digest.",
    )
    imagePullPolicy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        default=None, description="When a cluster node pulls the image."
    )
    imagePullSecrets: list[SourceRef] | None = Field(
        default=None, description="Secrets that open the registry: `[{name: ...}]`."
    )
    resources: Resources | None = Field(
        default=None, description="Requests and limits of CPU, memory and devices such as `nvidia.com/gpu`."
    )
    env: list[EnvVar] | None = Field(
        default=None,
        description="Environment variables, a list as in a Container; a literal that looks like a credential is refused.",
    )
    envFrom: list[EnvFrom] | None = Field(
        default=None,
        description="Secrets and ConfigMaps all of whose keys become environment variables, a list as in a Container.",
    )
    nodeSelector: dict[str, str | None] | None = Field(
        default=None, description="Labels that a cluster node must have."
    )
    tolerations: list[Toleration] | None = Field(
        default=None, description="Taints of cluster nodes that the pod accepts."
    )
    affinity: Affinity | None = Field(
        default=None, description="Where the pod would like to run, as in a PodSpec; passed on unchecked."
    )
    serviceAccountName: DnsName | None = Field(
        default=None, description="ServiceAccount of the pod; the namespace's default if not given."
    )
    automountServiceAccountToken: bool | None = Field(
        default=None, description="Give the pod a token for the Kubernetes API."
    )
    priorityClassName: DnsName | None = Field(default=None, description="PriorityClass of the pod.")
    runtimeClassName: DnsName | None = Field(default=None, description="RuntimeClass of the pod.")
    schedulerName: DnsName | None = Field(
        default=None, description="Scheduler that places the pod; Kubernetes' own if not given."
    )
    dnsPolicy: Literal["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"] | None = Field(
        default=None, description="How the pod resolves names; Kubernetes' `ClusterFirst` if not given."
    )
    terminationGracePeriodSeconds: Seconds | None = Field(
        default=None,
        description="Time to end after a pod was told to, in seconds or as `90s`; Kubernetes' 30 if not given.",
    )
    activeDeadlineSeconds: Annotated[Seconds, Field(ge=1)] | None = Field(
        default=None,
        json_schema_extra={"minimum": 1},
        description="The pod is killed after that time, in seconds or as `2h`; `null`: never. Else it follows from "
        "`execution_timeout`, or is a day; see docs/how-it-works/dag-file.md.",
    )
    podSecurityContext: PodSecurityContext | None = Field(
        default=None,
        description="Rights of the pod, field by field over what is built in; `null` takes one away. "
        "On OpenShift: `{runAsUser: null, fsGroup: null}`.",
    )
    securityContext: ContainerSecurityContext | None = Field(
        default=None,
        description="Rights of the container, field by field over what is built in: no privilege escalation, all "
        "capabilities dropped, read-only root.",
    )
    volumes: list[PodVolume] | None = Field(default=None, description="Further volumes, a list as in a PodSpec.")
    volumeMounts: list[VolumeMount] | None = Field(
        default=None, description="Where further volumes appear, a list as in a Container."
    )
    runner: Literal["SequentialRunner", "ThreadRunner", "ParallelRunner", "kedro"] | None = Field(
        default=None,
        description="Kedro's runner inside the pod, `SequentialRunner` if not given, or `ThreadRunner`, `ParallelRunner`; `kedro`: plain "
        "`kedro run`, see docs/how-it-works/how-it-runs.md.",
    )
    labels: Labels | None = Field(default=None, description="Further labels of the pod.")
    annotations: Annotations | None = Field(default=None, description="Further annotations of the pod.")
    # Airflow
    retries: Retries | None = Field(
        default=None, description="How often a failed task is tried again; the DAG's if not given."
    )
    retry_delay: Duration | None = Field(default=None, description="Wait before a retry; the DAG's if not given.")
    execution_timeout: Duration | None = Field(
        default=None, description="A task that lasts longer fails; no limit if not given."
    )
    pool: Pool | None = Field(
        default=None, description="Pool whose slots the task takes; Airflow's default pool if not given."
    )
    priority_weight: Annotated[int, Field(ge=-(2**31), lt=2**31)] | None = Field(
        default=None, description="The larger, the sooner the task gets a slot; Airflow's 1 if not given."
    )
    queue: Text | None = Field(default=None, description="Queue of the executor; Airflow's default if not given.")
    executor: Text | None = Field(
        default=None, description="Executor of the task, by name or alias; Airflow's default if not given."
    )
    trigger_rule: Literal[types.TRIGGER_RULES] | None = Field(  # type: ignore[valid-type]
        default=None, description="What must have become of the tasks before; Airflow's `all_success` if not given."
    )
    kubernetes_conn_id: Text | None = Field(
        default=None, description="Connection id of the cluster; the provider's default if not given."
    )
    in_cluster: bool | None = Field(
        default=None,
        description="Whether Airflow reaches the cluster by the ServiceAccount of its own pod; the connection says if not given.",
    )
    cluster_context: Text | None = Field(
        default=None, description="Context of the kubeconfig; the connection's if not given."
    )
    deferrable: bool | None = Field(
        default=None, description="Wait for the pod in the triggerer, not in a worker's slot; needs a triggerer."
    )
    operator: Mapping | None = Field(
        default=None,
        json_schema_extra=operator_arguments.describe_schema,
        description="Any further argument of KubernetesPodOperator or BaseOperator, checked by name and type; those that have a "
        "key of their own here are refused with that key.",
    )

    @field_validator("labels")
    @classmethod
    def _legal_labels(cls, value: dict[str, str | None] | None) -> dict[str, str | None] | None:
        return None if value is None else types.check_labels(value)

    @field_validator("annotations")
    @classmethod
    def _legal_annotations(cls, value: dict[str, str | None] | None) -> dict[str, str | None] | None:
        return None if value is None else types.check_annotations(value)

    @field_validator("env")
    @classmethod
    def _each_once(cls, value: list[EnvVar] | None) -> list[EnvVar] | None:
        names = [variable.name for variable in value or []]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"{twice} is there twice")
        return value

    @field_validator("operator")
    @classmethod
    def _legal_arguments(cls, value: Mapping | None) -> Mapping | None:
        found = {name: operator_arguments.find_problem(name, argument) for name, argument in (value or {}).items()}
        types.refuse_each(value or {}, {name: problem for name, problem in found.items() if problem})
        return value


class TaskRule(TaskSettings):
    """Settings for the nodes that match; without `match`, for all."""

    match: Match | None = Field(
        default=None, json_schema_extra=never_null, description="Which nodes the rule is for; without it, all."
    )
    profile: Text | None = Field(
        default=None,
        json_schema_extra=never_null,
        description="A name of `profiles`; what the rule says itself lies over what that says.",
    )

    @model_validator(mode="after")
    def _match_said(self) -> TaskRule:
        if "match" in self.model_fields_set and self.match is None:
            raise ValueError("`match` is empty; say what to match, or remove it for a rule of every node")
        return self


class CredentialsSecret(Model):
    """The Secret key that holds a Kedro credentials file."""

    name: DnsName = Field(description="Name of the Secret.")
    key: Text = Field(description="Key of the Secret whose value is the YAML of credentials.")


# What helps to develop a Kedro project, and stands in the requirements that Kedro's own starters write. Plugins of Kedro make
# every pod start up to 2.8 times slower.
DEVELOPMENT_PACKAGES = ("jupyterlab", "kedro-airflow", "kedro-docker", "kedro-k8s-airflow", "kedro-viz", "notebook")


class BuildSettings(Model):
    """What an image is built from; under `build:` for all images, under `images.<name>:` for one."""

    base: BaseImage | None = Field(
        default=None,
        description="Base image with Python, by tag or digest; `python:X.Y-slim` if not given, X.Y the newest that "
        "`requires-python` allows.",
    )
    uv: BaseImage = Field(default="astral/uv:0.13.9", description="Image that uv is taken from.")
    groups: tuple[Distribution, ...] = Field(
        default=(), strict=False, description="Dependency groups of `pyproject.toml` that are installed."
    )
    extras: tuple[Distribution, ...] = Field(
        default=(), strict=False, description="Extras of `pyproject.toml` that are installed."
    )
    exclude: tuple[Distribution, ...] = Field(
        default=DEVELOPMENT_PACKAGES, strict=False, description="Packages that stay out of the image."
    )
    packages: tuple[Package, ...] = Field(default=(), strict=False, description="Debian packages in the image.")
    build_packages: tuple[Package, ...] = Field(
        default=(), strict=False, description="Debian packages that only the installation of dependencies needs."
    )
    java: bool = Field(default=False, description="A Java runtime, for Spark.")
    env: dict[Variable, OneLine] = Field(default_factory=dict, description="Environment of the image.")
    args: dict[Variable, OneLine] = Field(
        default_factory=dict, description="Build arguments of the installation of dependencies, with their defaults."
    )
    secrets: tuple[Variable, ...] = Field(
        default=(), strict=False, description="Build secrets that the installation of dependencies has as variables."
    )
    prefix: tuple[OneLine, ...] = Field(
        default=(),
        strict=False,
        description="Words before every pod's command, such as `[uv, run, --no-sync]`; under `build` only.",
    )

    @field_validator("prefix")
    @classmethod
    def _no_sync(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value and value[0].rpartition("/")[2] == "uv" and (value[1:2] != ("run",) or "--no-sync" not in value):
            raise ValueError(
                "without --no-sync, `uv run` installs into the environment at the start of every pod; "
                "write [uv, run, --no-sync]"
            )
        return value

    @property
    def keeps_uv(self) -> bool:
        """Whether pods are started by uv, so that the image holds it."""
        return bool(self.prefix) and self.prefix[0].rpartition("/")[2] == "uv"

    def overlaid_by(self, other: BuildSettings) -> BuildSettings:
        """These settings, with every key that `other` states taken from it; maps are merged."""
        said = {name: getattr(other, name) for name in other.model_fields_set}
        maps = {name: {**getattr(self, name), **value} for name, value in said.items() if isinstance(value, dict)}
        return self.model_copy(update={**said, **maps})


class CheckSettings(Model):
    """What `check` and `create` leave unsaid."""

    ignore: tuple[Text, ...] = Field(
        default=(),
        strict=False,
        description="Codes or families of findings that are not to be told, as docs/reference/checks.md lists them.",
    )


DEFAULT_IMAGE = "default"


class PublishSettings(Model):
    """Where the DAGs are published; the options of `publish` win over it."""

    to: Text | None = Field(
        default=None,
        description="The repository that Airflow reads: a folder with a checkout, relative to the project, or an address that git can clone. "
        "Without a password: git finds that by itself.",
    )
    subfolder: Subfolder = Field(
        default="dags", description="Folder of that repository for the DAG files; `.` for its top."
    )
    base: Text | None = Field(
        default=None,
        description="The branch that Airflow reads. By default what is checked out, or the default branch of an address.",
    )
    branch: Text | None = Field(
        default=None, description="The branch to commit to, for a pull request to `base`; by default `base` itself."
    )


class Settings(Model):
    """Everything `k8s_airflow.yml` can say."""

    image: Image = Field(
        description="`[registry/]repository[:tag][@sha256:...]`; `latest` is refused. Without tag or digest the DAG names the image "
        "that the image lock has (docs/guides/image.md), and before the first build the tag `unbuilt`, which `create` says."
    )
    namespace: DnsLabel = Field(default="default", description="Kubernetes namespace of the pods.")
    project_path: ProjectPath = Field(default="/app", description="Folder of the project in the image.")
    credentials_secret: CredentialsSecret | None = Field(
        default=None,
        description="A Secret that holds a Kedro credentials file; mounted as one file, `credentials_from_secret.yml`, in the "
        "configuration of the run environment. It has to hold all credentials the catalog refers to: Kedro resolves them all "
        "when a session starts.",
    )
    build: BuildSettings = Field(default_factory=BuildSettings, description="What the image is built from.")
    images: dict[ImageName, Annotated[BuildSettings, WithoutKey("prefix")]] = Field(
        default_factory=dict,
        description="Further images of the project by name; what one does not say is as under `build`.",
    )
    data: DataSettings = Field(
        default_factory=DataSettings, description="How data gets from task to task; see docs/guides/data.md."
    )
    dag: Annotated[DagSettings, WithoutKey("pipeline")] = Field(
        default_factory=DagSettings, description="Defaults of every DAG."
    )
    dags: dict[Text, DagSettings] = Field(
        default_factory=dict, description="DAGs by name; one of `__default__` if none is given."
    )
    groups: dict[Text, Match | None] = Field(
        default_factory=dict,
        description="Nodes that share a pod by choice: a match by name, `null` to drop that of another environment; see docs/guides/grouping.md.",
    )
    profiles: dict[ProfileName, TaskSettings | None] = Field(
        default_factory=dict,
        description="Settings by name, for rules that name one and for nodes with the tag `k8s.<name>`; `null` drops that of another "
        "environment.",
    )
    tasks: dict[RuleName, TaskRule | None] = Field(
        default_factory=dict,
        description="Rules by name, a later one wins; `null` drops that of another environment.",
    )
    checks: CheckSettings = Field(
        default_factory=CheckSettings, description="What `check` and `create` leave unsaid, by code."
    )
    publish: PublishSettings = Field(
        default=PublishSettings(), description="Where `publish` puts the DAGs; see docs/guides/publish.md."
    )

    @field_validator("images")
    @classmethod
    def _one_prefix(cls, value: dict[str, BuildSettings]) -> dict[str, BuildSettings]:
        if any("prefix" in build.model_fields_set for build in value.values()):
            raise ValueError("`prefix` is for the pods of all images; say it under `build:`")
        return value

    @property
    def image_names(self) -> tuple[str, ...]:
        """The images of this project, the default one first."""
        return tuple(dict.fromkeys((DEFAULT_IMAGE, *self.images)))

    def build_of(self, name: str) -> BuildSettings:
        """What the image of that name is built from."""
        return self.build.overlaid_by(self.images[name]) if name in self.images else self.build

    @field_validator("dag")
    @classmethod
    def _no_pipeline(cls, value: DagSettings) -> DagSettings:
        if "pipeline" in value.model_fields_set:
            raise ValueError("`pipeline` belongs to one DAG, under `dags:`; `dag:` holds the defaults of all")
        return value


def parse_settings(raw: dict[str, Any]) -> Settings:
    """The settings a mapping spells.

    Raises:
        pydantic.ValidationError: see `settings.check` for the words a user gets.
    """
    # A key whose content was commented out is null in YAML and means: nothing said.
    return Settings.model_validate({key: value for key, value in raw.items() if value is not None})
