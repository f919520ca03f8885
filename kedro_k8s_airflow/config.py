"""The settings file: what users may write in `k8s_airflow.yml`, key by key, and what is refused.

One spelling rule: what lands in the pod is spelled as in a PodSpec or Container (camelCase), what Airflow does is spelled
as in Airflow (snake_case). Defaults of a task's keys are not here but in `tasks.BUILT_IN`, the first layer of its settings.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, field_validator, model_validator

from kedro_k8s_airflow import durations, operators, quantities, secrets

PRESETS = ("@once", "@continuous", "@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly")
TRIGGER_RULES = (
    "all_success",
    "all_failed",
    "all_done",
    "all_done_min_one_success",
    "all_skipped",
    "one_success",
    "one_failed",
    "one_done",
    "none_failed",
    "none_skipped",
    "none_failed_min_one_success",
    "always",
)
_DNS_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_DNS_SUBDOMAIN = rf"{_DNS_LABEL}(\.{_DNS_LABEL})*"
_IMAGE = re.compile(
    r"[a-z0-9]+([._-]+[a-z0-9]+)*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
    r"(:(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(@(?P<digest>sha256:[0-9a-f]{64}))?\Z"
)
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?\Z")
_LABEL_KEY = re.compile(rf"({_DNS_SUBDOMAIN}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{{0,61}}[A-Za-z0-9])?\Z")


def _dns_label(value: str) -> str:
    if not re.fullmatch(_DNS_LABEL, value):
        raise ValueError("Kubernetes wants lower-case letters, digits and '-', at most 63, such as 'kedro-jobs'")
    return value


def _dns_subdomain(value: str) -> str:
    if len(value) > 253 or not re.fullmatch(_DNS_SUBDOMAIN, value):
        raise ValueError("Kubernetes wants lower-case letters, digits, '-' and '.', such as 'flights-data'")
    return value


def _image(value: str) -> str:
    match = _IMAGE.match(value)
    if match is None:
        raise ValueError("an image is spelled [registry/]repository[:tag][@sha256:digest]")
    if match["tag"] == "latest" and not match["digest"]:
        raise ValueError("'latest' names another image tomorrow; give a tag that never moves, or a digest")
    return value


def _mount(value: str) -> str:
    parts = value.split("/")
    clean = value.rstrip("/")
    if not clean or clean == "." or ".." in parts or "\\" in value:
        raise ValueError("a mount is a folder inside the project, such as 'data', or an absolute path, without '..'")
    return clean.removeprefix("./")


def _quantity(value: object) -> str:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise ValueError("Kubernetes reads quantities such as 500m, 2, 1Gi or 1.5G")  # noqa: TRY004  pydantic reports ValueError
    quantities.amount(value)
    return str(value)


def _seconds(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return int(durations.parse(value).total_seconds())


def _moment(value: object) -> datetime:
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, date):
        moment = datetime(value.year, value.month, value.day)  # noqa: DTZ001  `timezone` says where
    else:
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            raise ValueError("a date is spelled 2026-01-31 or 2026-01-31T06:00") from None
    if moment.tzinfo is not None:
        raise ValueError("a date has no offset of its own; `timezone` says where it is meant")
    return moment


def _schedule(value: object) -> str | timedelta | None:
    if value is None or isinstance(value, timedelta):
        return value
    if isinstance(value, dict) and set(value) == {"every"}:
        return durations.parse(value["every"])
    if not isinstance(value, str):
        raise ValueError("a schedule is a cron line, a preset such as @daily, {every: 30m}, or null for runs by hand")  # noqa: TRY004
    if value in PRESETS:
        return value
    if value.startswith("@"):
        raise ValueError(f"Airflow's presets are {', '.join(PRESETS)}")
    from croniter import CroniterError, croniter

    try:
        if len(value.split()) != 5:
            raise ValueError(value)
        croniter(value)
    except (CroniterError, ValueError):
        raise ValueError("a cron line has five fields: minute hour day month weekday, such as '0 6 * * *'") from None
    return value


def _timezone(value: str) -> str:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(value)
    except (ValueError, OSError, KeyError):
        raise ValueError("a timezone is a name of the IANA database, such as Europe/Paris or UTC") from None
    return value


def _matches(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list | tuple) and value and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise ValueError("write one name or a list of names")


def _labels(value: dict[str, str]) -> dict[str, str]:
    for key, text in value.items():
        if not _LABEL_KEY.match(key):
            raise ValueError(f"{key!r} is not a label key; Kubernetes wants [prefix.example.com/]name, the name at most 63 characters")
        if not _LABEL_VALUE.match(text):
            raise ValueError(f"{text!r} (of {key}) is not a label value; at most 63 letters, digits, '-', '_' and '.', or use annotations")
    return value


def _annotations(value: dict[str, str]) -> dict[str, str]:
    for key in value:
        if not _LABEL_KEY.match(key):
            raise ValueError(f"{key!r} is not an annotation key; Kubernetes wants [prefix.example.com/]name")
    return value


Duration = Annotated[timedelta, BeforeValidator(durations.parse)]
Quantity = Annotated[str, BeforeValidator(_quantity)]
Seconds = Annotated[int, BeforeValidator(_seconds)]
Moment = Annotated[datetime, BeforeValidator(_moment), PlainSerializer(lambda value: value)]
Schedule = Annotated[Any, BeforeValidator(_schedule)]
Timezone = Annotated[str, BeforeValidator(_timezone)]
Names = Annotated[tuple[str, ...], BeforeValidator(_matches)]
Image = Annotated[str, BeforeValidator(lambda value: _image(value) if isinstance(value, str) else value)]
DnsLabel = Annotated[str, Field(strict=True), BeforeValidator(lambda value: _dns_label(value) if isinstance(value, str) else value)]
DnsName = Annotated[str, BeforeValidator(lambda value: _dns_subdomain(value) if isinstance(value, str) else value)]
Mount = Annotated[str, BeforeValidator(lambda value: _mount(value) if isinstance(value, str) else value)]
Text = Annotated[str, Field(min_length=1)]
Mapping = dict[str, Any]


class Model(BaseModel):
    """What all settings share: unknown keys and wrong types are errors, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)


class Volume(Model):
    """A claim mounted in every pod; local paths of the catalog under its mount are shared."""

    claim: DnsName = Field(description="Name of the PersistentVolumeClaim.")
    mount: Mount = Field(description="Folder of the project, such as data, or an absolute path.")
    subPath: Text | None = Field(default=None, description="Folder inside the claim.")  # noqa: N815
    readOnly: bool = Field(default=False, description="Mount it read-only.")  # noqa: N815


class Scratch(Model):
    """The pod's own writable folders."""

    sizeLimit: Quantity = Field(default="2Gi", description="Size of each, bytes; beyond it the pod is evicted.")  # noqa: N815


class Data(Model):
    """How data gets from task to task."""

    volumes: dict[DnsLabel, Volume] = Field(default_factory=dict, description="Claims by name.")
    reach: dict[Text, Literal["memory", "pod", "shared"]] = Field(
        default_factory=dict, description="How far a dataset (or glob) reaches, where the catalog cannot tell."
    )
    pod_local: Literal["fuse", "refuse"] = Field(default="fuse", description="Nodes that hand each other files of the pod's disk.")
    discard: tuple[Text, ...] = Field(default=(), strict=False, description="Datasets (globs) that may be lost with the pod.")
    in_image: tuple[Text, ...] = Field(default=(), strict=False, description="Local paths (globs) that the image carries.")
    scratch: Scratch = Field(default=Scratch(), description="Writable folders of the pod.")


class Notifier(Model):
    """A message about a DAG run, sent over an Airflow connection."""

    slack: Text = Field(description="Connection id of a Slack incoming webhook.")
    text: Text | None = Field(default=None, description="Message; Airflow's Jinja, such as {{ run_id }}.")


class DagSettings(Model):
    """One DAG; under `dag:` the defaults of all."""

    pipeline: Text | None = Field(default=None, description="Registered pipeline; the DAG's own name if not given.")
    group_by: Literal["none", "memory", "namespace", "chain"] = Field(default="memory", description="Which nodes share a pod.")
    schedule: Schedule = Field(default=None, description="Cron line, preset, {every: 30m}, or null.")
    timezone: Timezone = Field(default="UTC", description="Of schedule and dates.")
    start_date: Moment = Field(default=datetime(2025, 1, 1), description="First day that can be scheduled.")  # noqa: DTZ001
    end_date: Moment | None = Field(default=None, description="Last day that can be scheduled.")
    catchup: bool = Field(default=False, description="Run what was missed since start_date.")
    max_active_runs: Annotated[int, Field(ge=1)] = Field(default=1, description="Runs at the same time.")
    max_active_tasks: Annotated[int, Field(ge=1)] | None = Field(default=None, description="Tasks at the same time.")
    dagrun_timeout: Duration | None = Field(default=None, description="A run that lasts longer fails.")
    retries: Annotated[int, Field(ge=0)] = Field(default=0, description="Of every task, unless its own rule says otherwise.")
    retry_delay: Duration = Field(default=timedelta(minutes=5), description="Wait before a retry.")
    retry_exponential_backoff: bool = Field(default=False, description="Wait longer before each retry.")
    owner: Text | None = Field(default=None, description="Owner shown in Airflow.")
    tags: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = Field(default=(), strict=False, description="Tags shown in Airflow.")
    description: Text | None = Field(default=None, description="One line shown in Airflow.")
    doc_md: Text | None = Field(default=None, description="Markdown shown with the DAG.")
    dag_display_name: Text | None = Field(default=None, description="Name shown instead of the dag_id.")
    is_paused_upon_creation: bool | None = Field(default=None, description="Whether a new DAG starts paused.")
    on_failure: Notifier | None = Field(default=None, description="Sent when a run failed.")
    on_success: Notifier | None = Field(default=None, description="Sent when a run succeeded.")
    params: tuple[Text, ...] = Field(default=(), strict=False, description="Kedro parameters offered in Airflow's trigger form.")

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
        if not self.model_fields_set:
            raise ValueError(f"say what to match: {', '.join(type(self).model_fields)}")
        return self


class Resources(Model):
    """Requests and limits of the container."""

    requests: dict[str, Quantity | None] = Field(default_factory=dict, description="What the scheduler sets aside.")
    limits: dict[str, Quantity | None] = Field(default_factory=dict, description="What the container may use at most.")


class KeyRef(Model):
    """One key of a Secret or ConfigMap."""

    name: DnsName = Field(description="Name of the Secret or ConfigMap.")
    key: Text = Field(description="Key inside it.")
    optional: bool | None = None


class EnvSource(Model):
    """Where the value of an environment variable comes from."""

    secretKeyRef: KeyRef | None = None  # noqa: N815
    configMapKeyRef: KeyRef | None = None  # noqa: N815
    fieldRef: Mapping | None = None  # noqa: N815
    resourceFieldRef: Mapping | None = None  # noqa: N815

    @model_validator(mode="after")
    def _one_source(self) -> EnvSource:
        if len(self.model_fields_set) != 1:
            raise ValueError(f"give exactly one of {', '.join(type(self).model_fields)}")
        return self


class EnvVar(Model):
    """One environment variable of the container."""

    name: str
    value: str | None = None
    valueFrom: EnvSource | None = None  # noqa: N815

    @model_validator(mode="after")
    def _sound(self) -> EnvVar:
        if not _ENV_NAME.match(self.name):
            raise ValueError(f"{self.name!r} is no name of an environment variable")
        if (self.value is None) == (self.valueFrom is None):
            raise ValueError("give either value or valueFrom")
        if self.value is not None and secrets.is_secret_name(self.name):
            raise ValueError(f"{self.name} looks like a credential, and the DAG file shows it to everyone; use valueFrom.secretKeyRef")
        return self


class SourceRef(Model):
    """A Secret or ConfigMap, whole."""

    name: DnsName
    optional: bool | None = None


class EnvFrom(Model):
    """All keys of a Secret or ConfigMap as environment variables."""

    configMapRef: SourceRef | None = None  # noqa: N815
    secretRef: SourceRef | None = None  # noqa: N815
    prefix: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> EnvFrom:
        if (self.configMapRef is None) == (self.secretRef is None):
            raise ValueError("give either configMapRef or secretRef")
        return self


class Toleration(Model):
    """A taint of nodes that the pod accepts."""

    key: str | None = None
    operator: Literal["Exists", "Equal"] | None = None
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    tolerationSeconds: int | None = None  # noqa: N815


class Affinity(Model):
    """Where the pod would like to run."""

    nodeAffinity: Mapping | None = None  # noqa: N815
    podAffinity: Mapping | None = None  # noqa: N815
    podAntiAffinity: Mapping | None = None  # noqa: N815


class ContainerSecurityContext(Model):
    """Rights of the container; null takes a default away."""

    allowPrivilegeEscalation: bool | None = None  # noqa: N815
    appArmorProfile: Mapping | None = None  # noqa: N815
    capabilities: Mapping | None = None
    privileged: bool | None = None
    procMount: str | None = None  # noqa: N815
    readOnlyRootFilesystem: bool | None = None  # noqa: N815
    runAsGroup: int | None = None  # noqa: N815
    runAsNonRoot: bool | None = None  # noqa: N815
    runAsUser: int | None = None  # noqa: N815
    seLinuxOptions: Mapping | None = None  # noqa: N815
    seccompProfile: Mapping | None = None  # noqa: N815


class PodSecurityContext(Model):
    """Rights of the pod; null takes a default away."""

    appArmorProfile: Mapping | None = None  # noqa: N815
    fsGroup: int | None = None  # noqa: N815
    fsGroupChangePolicy: Literal["OnRootMismatch", "Always"] | None = None  # noqa: N815
    runAsGroup: int | None = None  # noqa: N815
    runAsNonRoot: bool | None = None  # noqa: N815
    runAsUser: int | None = None  # noqa: N815
    seLinuxOptions: Mapping | None = None  # noqa: N815
    seccompProfile: Mapping | None = None  # noqa: N815
    supplementalGroups: list[int] | None = None  # noqa: N815
    sysctls: list[Mapping] | None = None


class PodVolume(Model):
    """A further volume of the pod, with exactly one source."""

    name: DnsLabel
    configMap: Mapping | None = None  # noqa: N815
    csi: Mapping | None = None
    downwardAPI: Mapping | None = None  # noqa: N815
    emptyDir: Mapping | None = None  # noqa: N815
    ephemeral: Mapping | None = None
    hostPath: Mapping | None = None  # noqa: N815
    nfs: Mapping | None = None
    persistentVolumeClaim: Mapping | None = None  # noqa: N815
    projected: Mapping | None = None
    secret: Mapping | None = None

    @model_validator(mode="after")
    def _one_source(self) -> PodVolume:
        sources = [name for name in type(self).model_fields if name != "name"]
        if sum(getattr(self, name) is not None for name in sources) != 1:
            raise ValueError(f"give exactly one of {', '.join(sources)}")
        return self


class VolumeMount(Model):
    """Where a volume appears in the container."""

    name: DnsLabel
    mountPath: Text  # noqa: N815
    subPath: Text | None = None  # noqa: N815
    readOnly: bool | None = None  # noqa: N815


class TaskSettings(Model):
    """What a task can be told, in the pod (camelCase) and in Airflow (snake_case)."""

    # the pod
    image: Image | None = Field(default=None, description="Another image than the project's.")
    imagePullPolicy: Literal["Always", "IfNotPresent", "Never"] | None = None  # noqa: N815
    imagePullSecrets: list[SourceRef] | None = None  # noqa: N815
    resources: Resources | None = None
    env: list[EnvVar] | None = None
    envFrom: list[EnvFrom] | None = None  # noqa: N815
    nodeSelector: dict[str, str | None] | None = None  # noqa: N815
    tolerations: list[Toleration] | None = None
    affinity: Affinity | None = None
    serviceAccountName: DnsName | None = None  # noqa: N815
    automountServiceAccountToken: bool | None = None  # noqa: N815
    priorityClassName: DnsName | None = None  # noqa: N815
    runtimeClassName: DnsName | None = None  # noqa: N815
    schedulerName: DnsName | None = None  # noqa: N815
    dnsPolicy: Literal["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"] | None = None  # noqa: N815
    terminationGracePeriodSeconds: Seconds | None = None  # noqa: N815
    activeDeadlineSeconds: Seconds | None = Field(default=None, description="null: never.")  # noqa: N815
    podSecurityContext: PodSecurityContext | None = None  # noqa: N815
    securityContext: ContainerSecurityContext | None = None  # noqa: N815
    volumes: list[PodVolume] | None = None
    volumeMounts: list[VolumeMount] | None = None  # noqa: N815
    labels: Annotated[dict[str, str], BeforeValidator(lambda value: value)] | None = None
    annotations: dict[str, str] | None = None
    # Airflow
    retries: Annotated[int, Field(ge=0)] | None = None
    retry_delay: Duration | None = None
    execution_timeout: Duration | None = None
    pool: Text | None = None
    priority_weight: int | None = None
    queue: Text | None = None
    executor: Text | None = None
    trigger_rule: Literal[TRIGGER_RULES] | None = None  # type: ignore[valid-type]
    kubernetes_conn_id: Text | None = None
    in_cluster: bool | None = None
    cluster_context: Text | None = None
    deferrable: bool | None = None
    operator: Mapping | None = Field(default=None, description="Any further argument of KubernetesPodOperator or BaseOperator.")

    @field_validator("labels")
    @classmethod
    def _legal_labels(cls, value: dict[str, str] | None) -> dict[str, str] | None:
        return None if value is None else _labels(value)

    @field_validator("annotations")
    @classmethod
    def _legal_annotations(cls, value: dict[str, str] | None) -> dict[str, str] | None:
        return None if value is None else _annotations(value)

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


class CredentialsSecret(Model):
    """The Secret key that holds a Kedro credentials file."""

    name: DnsName = Field(description="Name of the Secret.")
    key: Text = Field(description="Key whose value is the YAML of credentials.")


class Settings(Model):
    """Everything `k8s_airflow.yml` can say."""

    image: Image = Field(description="Image repository; without tag or digest the image lock says which.")
    namespace: DnsLabel = Field(default="default", description="Kubernetes namespace of the pods.")
    project_path: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._-]+)+$")] = Field(default="/app", description="The project in the image.")
    credentials_secret: CredentialsSecret | None = Field(default=None, description="Mounted as a file of the project's configuration.")
    data: Data = Field(default_factory=Data, description="How data gets from task to task.")
    dag: DagSettings = Field(default_factory=DagSettings, description="Defaults of every DAG.")
    dags: dict[Text, DagSettings] = Field(default_factory=dict, description="DAGs by name; without it, one of __default__.")
    groups: dict[Text, Match | None] = Field(default_factory=dict, description="Nodes that share a pod by choice.")
    tasks: dict[Text, TaskRule | None] = Field(default_factory=dict, description="Rules by name; a later one wins.")

    @field_validator("dag")
    @classmethod
    def _no_pipeline(cls, value: DagSettings) -> DagSettings:
        if "pipeline" in value.model_fields_set:
            raise ValueError("`pipeline` belongs to one DAG, under `dags:`; `dag:` holds the defaults of all")
        return value


def parse(raw: dict[str, Any]) -> Settings:
    """The settings a mapping spells.

    Raises:
        pydantic.ValidationError: see `settings.describe` for the words a user gets.
    """
    return Settings.model_validate(raw)
