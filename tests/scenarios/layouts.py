"""Layouts: where the source and the configuration lie, and what the environments change."""

from __future__ import annotations

from tests.scenarios.model import SETTINGS, Refused, Scenario, Works, default_pipeline, make_chain, pickle_entries

_AB = {"pipelines": default_pipeline(*make_chain("a", "b")), "catalog": pickle_entries("raw", "a_out", "b_out")}
_CANARY = "CANARY-9f8e7d6c5b4a"
_ARCHIVE = "s3://bucket/conf.zip"

SCENARIOS = (
    Scenario(
        name="plain", shows="the smallest project that works", **_AB, expect=Works(together=(), before=(("a", "b"),))
    ),
    Scenario(
        name="no-src", shows="a package beside pyproject.toml", source=".", **_AB, expect=Works(before=(("a", "b"),))
    ),
    Scenario(
        name="other-src", shows="another source folder", source="code/python", **_AB, expect=Works(before=(("a", "b"),))
    ),
    Scenario(name="no-local", shows="no conf/local, as in CI", local=False, **_AB, expect=Works(before=(("a", "b"),))),
    Scenario(
        name="conf-moved",
        shows="settings.CONF_SOURCE",
        conf="config/kedro",
        conf_source="config/kedro",
        **_AB,
        expect=Works(before=(("a", "b"),)),
    ),
    Scenario(
        name="conf-option",
        shows="--conf-source",
        conf="other_conf",
        options=("--conf-source", "other_conf"),
        **_AB,
        expect=Works(before=(("a", "b"),)),
    ),
    Scenario(
        name="conf-outside",
        shows="configuration that no image would hold",
        options=("--conf-source", "/tmp"),  # noqa: S108  any folder outside the project
        **_AB,
        expect=Refused(code="conf-source", mentions=("--conf-source", "/tmp")),  # noqa: S108
    ),
    Scenario(
        name="conf-missing",
        shows="a configuration folder that is not there",
        options=("--conf-source", "nowhere"),
        **_AB,
        expect=Refused(code="conf-source", mentions=("--conf-source", "nowhere")),
    ),
    Scenario(
        name="env-overlay",
        shows="an environment that changes one field of one rule",
        settings=SETTINGS
        + """
tasks:
  default: {resources: {requests: {cpu: 100m, memory: 100Mi}, limits: {memory: 100Mi}}, nodeSelector: {disk: ssd}}
  heavy: {match: {node: b}, priorityClassName: high, retries: 2}
""",
        overlays={"prod": "tasks: {heavy: {retries: 5}}\nnamespace: prod\n"},
        options=("--env", "prod"),
        **_AB,
        expect=Works(dag_ids=("project_prod",), before=(("a", "b"),)),
    ),
    Scenario(
        name="env-null",
        shows="an environment that drops a rule, and one that would match nothing",
        settings=SETTINGS
        + "tasks: {heavy: {match: {node: b}, priorityClassName: high}, odd: {match: {node: nothing}}}\n",
        overlays={"prod": "tasks: {heavy: null, odd: null}\n"},
        options=("--env", "prod"),
        **_AB,
        expect=Works(dag_ids=("project_prod",), before=(("a", "b"),)),
    ),
    Scenario(
        name="env-null-group",
        shows="an environment that drops a group",
        settings=SETTINGS + "groups: {all: {node: '*'}}\n",
        overlays={"prod": "groups: {all: null}\n"},
        options=("--env", "prod"),
        **_AB,
        expect=Works(dag_ids=("project_prod",), together=(), before=(("a", "b"),)),
    ),
    Scenario(
        name="env-null-misspelt",
        shows="an environment that drops a rule which is not there",
        settings=SETTINGS + "tasks: {heavy: {match: {node: b}, retries: 1}}\n",
        overlays={"prod": "tasks: {heayv: null}\n"},
        options=("--env", "prod"),
        **_AB,
        expect=Refused(code="settings-value", mentions=("conf/prod/k8s_airflow.yml: tasks.heayv", "'heavy'")),
    ),
    Scenario(
        name="env-catalog",
        shows="an environment in which a dataset of memory is stored",
        pipelines=default_pipeline(*make_chain("a", "b")),
        catalog=pickle_entries("raw", "b_out"),
        files={"{conf}/prod/catalog.yml": "a_out: {type: pickle.PickleDataset, filepath: s3://bucket/a.pkl}\n"},
        options=("--env", "prod"),
        expect=Works(dag_ids=("project_prod",), together=(), before=(("a", "b"),)),
    ),
    Scenario(
        name="env-without-settings",
        shows="an environment that says nothing of Kubernetes",
        files={"{conf}/test/parameters.yml": "x: 1\n"},
        options=("--env", "test"),
        **_AB,
        expect=Works(dag_ids=("project_test",), before=(("a", "b"),)),
    ),
    Scenario(
        name="env-missing",
        shows="an environment that is not there",
        options=("--env", "prodd"),
        overlays={"prod": "namespace: prod\n"},
        **_AB,
        expect=Refused(code="env", mentions=("--env", "prodd", "prod")),
    ),
    Scenario(
        name="env-local",
        shows="conf/local, which never goes into an image",
        options=("--env", "local"),
        **_AB,
        expect=Refused(code="env", mentions=("--env", "conf/local")),
    ),
    Scenario(
        name="env-unreadable",
        shows="an overlay that is no YAML",
        overlays={"prod": "tasks: {heavy: [\n"},
        options=("--env", "prod"),
        **_AB,
        expect=Refused(code="conf", mentions=("k8s_airflow", "conf/prod/k8s_airflow.yml")),
    ),
    Scenario(
        name="local-settings-unseen",
        shows="what conf/local says is of one machine, and changes no DAG",
        files={
            "{conf}/local/k8s_airflow.yml": f"namespace: mine\ndag: {{description: {_CANARY}}}\n",
            "{conf}/local/catalog.yml": f"a_out: {{type: MemoryDataset, metadata: {_CANARY}}}\n",
        },
        canary=_CANARY,
        **_AB,
        expect=Works(together=(), before=(("a", "b"),)),
    ),
    Scenario(
        name="no-settings",
        shows="a project without settings file",
        settings=None,
        **_AB,
        expect=Refused(code="settings", mentions=("k8s_airflow.yml", "kedro k8s-airflow init")),
    ),
    Scenario(
        name="empty-settings",
        shows="a settings file with nothing in it",
        settings="",
        **_AB,
        expect=Refused(code=None, mentions=("k8s_airflow",)),
    ),
    Scenario(
        name="settings-resolved",
        shows="OmegaConf's interpolation in the settings file",
        settings="_team: flights\nimage: registry.example.com/${_team}/x\ndata: {volumes: {data: {claim: '${_team}', mount: data}}}\n",
        **_AB,
        expect=Works(before=(("a", "b"),)),
    ),
    Scenario(
        name="settings-in-folder",
        shows="settings in a folder of their own, one file for each subject",
        settings=None,
        files={
            "{conf}/base/k8s_airflow/main.yml": SETTINGS,
            "{conf}/base/k8s_airflow/tasks.yml": "tasks: {heavy: {match: {node: b}, retries: 2}}\n",
        },
        **_AB,
        expect=Works(before=(("a", "b"),)),
    ),
    Scenario(
        name="settings-py-fails",
        shows="a settings.py that raises",
        settings_py="raise RuntimeError('no settings today')\n",
        **_AB,
        expect=Refused(code=None, mentions=("no settings today",), ours=False),
    ),
    Scenario(
        name="foreign-dag",
        shows="a DAG file that somebody wrote by hand",
        files={"dags/project.py": "# mine\n"},
        **_AB,
        expect=Refused(code="file-foreign", mentions=("dags/project.py", "--force")),
    ),
    Scenario(
        name="foreign-dag-forced",
        shows="--force",
        files={"dags/project.py": "# mine\n"},
        options=("--force",),
        **_AB,
        expect=Works(before=(("a", "b"),)),
    ),
    Scenario(
        name="own-dockerfile",
        shows="a Dockerfile of the user's own is left alone",
        files={"Dockerfile": "FROM scratch\n"},
        **_AB,
        expect=Works(before=(("a", "b"),), says=("image-own",)),
    ),
    Scenario(
        name="output-option",
        shows="--output, in a folder to be made",
        options=("--output", "deploy/airflow/dags"),
        **_AB,
        expect=Works(before=(("a", "b"),)),
    ),
    Scenario(
        name="hooks",
        shows="hooks that could change the catalog are not run, and it is said",
        settings_py=(
            "from kedro.framework.hooks import hook_impl\n\n\n"
            "class Meddler:\n"
            "    @hook_impl\n"
            "    def after_catalog_created(self, catalog):\n"
            f"        raise RuntimeError('{_CANARY}')\n\n\n"
            "HOOKS = (Meddler(),)\n"
        ),
        canary=_CANARY,
        **_AB,
        expect=Works(before=(("a", "b"),), says=("hooks",)),
    ),
)
