"""The settings file: what users may write in `k8s_airflow.yml`, key by key, and what is refused.

One spelling rule: what lands in the pod is spelled as in a PodSpec or Container (camelCase), what Airflow does is spelled
as in Airflow (snake_case). Defaults of a task's keys are not here but in `rules.BUILT_IN`, the first layer of its settings.
"""

# ruff: noqa: N815  Kubernetes spells its fields in camelCase

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from kedro_k8s_airflow import fields, operators
from kedro_k8s_airflow.fields import (
    BaseImage,
    Distribution,
    DnsLabel,
    DnsName,
    Duration,
    Image,
    ImageName,
    Mapping,
    Model,
    Moment,
    Mount,
    Names,
    OneLine,
    Package,
    Pool,
    ProjectPath,
    Quantity,
    Schedule,
    Seconds,
    SubPath,
    Text,
    Timezone,
    Variable,
    VolumeName,
)
from kedro_k8s_airflow.podspec import (
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


class Volume(Model):
    """A claim mounted in every pod; local paths of the catalog under its mount are shared."""

    claim: DnsName = Field(description="Name of the PersistentVolumeClaim.")
    mount: Mount = Field(description="Folder of the project, such as data, or an absolute path.")
    subPath: SubPath | None = Field(default=None, description="Folder inside the claim.")
    readOnly: bool = Field(default=False, description="Mount it read-only.")
    accessMode: Literal["ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod", "ReadOnlyMany"] | None = Field(
        default=None,
        description="Access mode of the claim, for `check`: ReadWriteOnce holds all pods on one cluster node.",
    )


class Scratch(Model):
    """The pod's own writable folders."""

    sizeLimit: Quantity = Field(default="2Gi", description="Size of each, bytes; beyond it the pod is evicted.")


class Store(Model):
    """Where datasets in memory are kept while they go from task to task."""

    path: Text | None = Field(default=None, description="Folder on a volume, or a URL such as s3://bucket/folder.")
    keep: Duration = Field(default=timedelta(days=7), description="What failed runs leave there is removed afterwards.")


class Data(Model):
    """How data gets from task to task."""

    volumes: dict[VolumeName, Volume] = Field(default_factory=dict, description="Claims by name.")
    reach: dict[Text, Literal["memory", "pod", "shared"]] = Field(
        default_factory=dict, description="How far a dataset (or glob) reaches, where the catalog cannot tell."
    )
    pod_local: Literal["fuse", "refuse"] = Field(
        default="fuse", description="Nodes that hand each other files of the pod's disk."
    )
    memory: Literal["fuse", "store"] = Field(
        default="fuse", description="Nodes that hand each other data in memory: one pod, or a pickle in the store."
    )
    store: Store = Field(default=Store(), description="The store of `memory: store`.")
    discard: tuple[Text, ...] = Field(
        default=(), strict=False, description="Datasets (globs) that may be lost with the pod."
    )
    in_image: tuple[Text, ...] = Field(
        default=(), strict=False, description="Local paths (globs) that the image carries."
    )
    scratch: Scratch = Field(default=Scratch(), description="Writable folders of the pod.")

    @model_validator(mode="after")
    def _store_said(self) -> Data:
        if self.memory == "store" and self.store.path is None:
            raise ValueError(
                "`memory: store` needs store.path: a folder on a volume, or a URL such as s3://bucket/folder"
            )
        return self


class Notifier(Model):
    """A message about a DAG run, sent over an Airflow connection."""

    slack: Text = Field(description="Connection id of a Slack incoming webhook.")
    text: Text | None = Field(default=None, description="Message; Airflow's Jinja, such as {{ run_id }}.")


Retries = Annotated[int, Field(ge=0, lt=2**31)]


class DagSettings(Model):
    """One DAG; under `dag:` the defaults of all."""

    pipeline: Text | None = Field(default=None, description="Registered pipeline; the DAG's own name if not given.")
    group_by: Literal["none", "memory", "namespace", "chain"] = Field(
        default="memory", description="Which nodes share a pod."
    )
    schedule: Schedule = Field(default=None, description="Cron line, preset, {every: 30m}, or null.")
    timezone: Timezone = Field(default="UTC", description="Of schedule and dates.")
    start_date: Moment = Field(default=datetime(2025, 1, 1), description="First day that can be scheduled.")  # noqa: DTZ001
    end_date: Moment | None = Field(default=None, description="Last day that can be scheduled.")
    catchup: bool = Field(default=False, description="Run what was missed since start_date.")
    max_active_runs: Annotated[int, Field(ge=1)] = Field(default=1, description="Runs at the same time.")
    max_active_tasks: Annotated[int, Field(ge=1)] | None = Field(default=None, description="Tasks at the same time.")
    dagrun_timeout: Duration | None = Field(default=None, description="A run that lasts longer fails.")
    retries: Retries = Field(default=0, description="Of every task, unless its own rule says otherwise.")
    retry_delay: Duration = Field(default=timedelta(minutes=5), description="Wait before a retry.")
    retry_exponential_backoff: bool = Field(default=False, description="Wait longer before each retry.")
    owner: Text | None = Field(default=None, description="Owner shown in Airflow.")
    tags: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = Field(
        default=(), strict=False, description="Tags shown in Airflow."
    )
    description: Text | None = Field(default=None, description="One line shown in Airflow.")
    doc_md: Text | None = Field(default=None, description="Markdown shown with the DAG.")
    doc_graph: bool = Field(
        default=False, description="Add the picture of `plan --format mermaid` to doc_md; Airflow shows its text."
    )
    dag_display_name: Text | None = Field(default=None, description="Name shown instead of the dag_id.")
    is_paused_upon_creation: bool | None = Field(default=None, description="Whether a new DAG starts paused.")
    on_failure: Notifier | None = Field(default=None, description="Sent when a run failed.")
    on_success: Notifier | None = Field(default=None, description="Sent when a run succeeded.")
    params: tuple[Text, ...] = Field(
        default=(), strict=False, description="Kedro parameters offered in Airflow's trigger form."
    )
    macros: dict[Text, Text] = Field(
        default_factory=dict, description="Kedro parameters from the run: run_date, or one Airflow expression in {{ }}."
    )
    narrow_pipeline: bool = Field(
        default=True, description="Let a pod load a smaller registered pipeline that holds the same nodes."
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

    node: Names | None = Field(default=None, description="Node names (glob).")
    tag: Names | None = Field(default=None, description="Tags.")
    namespace: Names | None = Field(default=None, description="Namespaces, with all below them.")
    pipeline: Names | None = Field(default=None, description="Registered pipelines that hold the node.")
    reads: Names | None = Field(default=None, description="Datasets the node loads (glob).")
    writes: Names | None = Field(default=None, description="Datasets the node saves (glob).")

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
        default=None, description="Another image than the project's: a name of `images`, or a reference."
    )
    imagePullPolicy: Literal["Always", "IfNotPresent", "Never"] | None = None
    imagePullSecrets: list[SourceRef] | None = None
    resources: Resources | None = None
    env: list[EnvVar] | None = None
    envFrom: list[EnvFrom] | None = None
    nodeSelector: dict[str, str | None] | None = None
    tolerations: list[Toleration] | None = None
    affinity: Affinity | None = None
    serviceAccountName: DnsName | None = None
    automountServiceAccountToken: bool | None = None
    priorityClassName: DnsName | None = None
    runtimeClassName: DnsName | None = None
    schedulerName: DnsName | None = None
    dnsPolicy: Literal["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"] | None = None
    terminationGracePeriodSeconds: Seconds | None = None
    activeDeadlineSeconds: Annotated[Seconds, Field(ge=1)] | None = Field(default=None, description="null: never.")
    podSecurityContext: PodSecurityContext | None = None
    securityContext: ContainerSecurityContext | None = None
    volumes: list[PodVolume] | None = None
    volumeMounts: list[VolumeMount] | None = None
    runner: Literal["SequentialRunner", "ThreadRunner", "ParallelRunner", "kedro"] | None = Field(
        default=None, description="Kedro's runner in the pod; `kedro`: plain `kedro run`, without our program."
    )
    labels: dict[str, str | None] | None = None
    annotations: dict[str, str | None] | None = None
    # Airflow
    retries: Retries | None = None
    retry_delay: Duration | None = None
    execution_timeout: Duration | None = None
    pool: Pool | None = None
    priority_weight: Annotated[int, Field(ge=-(2**31), lt=2**31)] | None = None
    queue: Text | None = None
    executor: Text | None = None
    trigger_rule: Literal[fields.TRIGGER_RULES] | None = None  # type: ignore[valid-type]
    kubernetes_conn_id: Text | None = None
    in_cluster: bool | None = None
    cluster_context: Text | None = None
    deferrable: bool | None = None
    operator: Mapping | None = Field(
        default=None, description="Any further argument of KubernetesPodOperator or BaseOperator."
    )

    @field_validator("labels")
    @classmethod
    def _legal_labels(cls, value: dict[str, str | None] | None) -> dict[str, str | None] | None:
        return None if value is None else fields.legal_labels(value)

    @field_validator("annotations")
    @classmethod
    def _legal_annotations(cls, value: dict[str, str | None] | None) -> dict[str, str | None] | None:
        return None if value is None else fields.legal_annotations(value)

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
        for name, argument in (value or {}).items():
            problem = operators.problem(name, argument)
            if problem:
                raise ValueError(problem)
        return value


class TaskRule(TaskSettings):
    """Settings for the nodes that match; without `match`, for all."""

    match: Match | None = None

    @model_validator(mode="after")
    def _match_said(self) -> TaskRule:
        if "match" in self.model_fields_set and self.match is None:
            raise ValueError("`match` is empty; say what to match, or remove it for a rule of every node")
        return self


class CredentialsSecret(Model):
    """The Secret key that holds a Kedro credentials file."""

    name: DnsName = Field(description="Name of the Secret.")
    key: Text = Field(description="Key whose value is the YAML of credentials.")


# What helps to develop a Kedro project, and stands in the requirements that Kedro's own starters write. Plugins of Kedro make
# every pod start up to 2.8 times slower.
DEVELOPMENT = ("jupyterlab", "kedro-airflow", "kedro-docker", "kedro-k8s-airflow", "kedro-viz", "notebook")


class Build(Model):
    """What an image is built from; under `build:` for all images, under `images.<name>:` for one."""

    base: BaseImage | None = Field(default=None, description="Base image with Python; python:X.Y-slim if not given.")
    uv: BaseImage = Field(default="astral/uv:0.13.9", description="Image that uv is taken from.")
    groups: tuple[Distribution, ...] = Field(default=(), strict=False, description="Dependency groups to install.")
    extras: tuple[Distribution, ...] = Field(default=(), strict=False, description="Extras of the project to install.")
    exclude: tuple[Distribution, ...] = Field(
        default=DEVELOPMENT, strict=False, description="Packages that stay out of the image."
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
        default=(), strict=False, description="Words before the pods' command: uv run --no-sync."
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

    def overlaid_by(self, other: Build) -> Build:
        """These settings, with every key that `other` states taken from it; maps are merged."""
        said = {name: getattr(other, name) for name in other.model_fields_set}
        maps = {name: {**getattr(self, name), **value} for name, value in said.items() if isinstance(value, dict)}
        return self.model_copy(update={**said, **maps})


class Checks(Model):
    """What `check` and `create` leave unsaid."""

    ignore: tuple[Text, ...] = Field(
        default=(), strict=False, description="Codes of findings that are not to be told, as docs/checks.md lists them."
    )


DEFAULT_IMAGE = "default"


class Settings(Model):
    """Everything `k8s_airflow.yml` can say."""

    image: Image = Field(description="Image repository; without tag or digest the image lock says which.")
    namespace: DnsLabel = Field(default="default", description="Kubernetes namespace of the pods.")
    project_path: ProjectPath = Field(default="/app", description="The project in the image.")
    credentials_secret: CredentialsSecret | None = Field(
        default=None, description="Mounted as a file of the project's configuration."
    )
    build: Build = Field(default_factory=Build, description="What the image is built from.")
    images: dict[ImageName, Build] = Field(
        default_factory=dict, description="Further images of the project by name; `default` is the first."
    )
    data: Data = Field(default_factory=Data, description="How data gets from task to task.")
    dag: DagSettings = Field(default_factory=DagSettings, description="Defaults of every DAG.")
    dags: dict[Text, DagSettings] = Field(
        default_factory=dict, description="DAGs by name; without it, one of __default__."
    )
    groups: dict[Text, Match | None] = Field(default_factory=dict, description="Nodes that share a pod by choice.")
    tasks: dict[Text, TaskRule | None] = Field(default_factory=dict, description="Rules by name; a later one wins.")
    checks: Checks = Field(default_factory=Checks, description="What is not to be told.")

    @field_validator("images")
    @classmethod
    def _one_prefix(cls, value: dict[str, Build]) -> dict[str, Build]:
        if any("prefix" in build.model_fields_set for build in value.values()):
            raise ValueError("`prefix` is for the pods of all images; say it under `build:`")
        return value

    @property
    def image_names(self) -> tuple[str, ...]:
        """The images of this project, the default one first."""
        return tuple(dict.fromkeys((DEFAULT_IMAGE, *self.images)))

    def build_of(self, name: str) -> Build:
        """What the image of that name is built from."""
        return self.build.overlaid_by(self.images[name]) if name in self.images else self.build

    @field_validator("dag")
    @classmethod
    def _no_pipeline(cls, value: DagSettings) -> DagSettings:
        if "pipeline" in value.model_fields_set:
            raise ValueError("`pipeline` belongs to one DAG, under `dags:`; `dag:` holds the defaults of all")
        return value


def parse(raw: dict[str, Any]) -> Settings:
    """The settings a mapping spells.

    Raises:
        pydantic.ValidationError: see `settings.check` for the words a user gets.
    """
    # A key whose content was commented out is null in YAML and means: nothing said.
    return Settings.model_validate({key: value for key, value in raw.items() if value is not None})
