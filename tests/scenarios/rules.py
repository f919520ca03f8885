"""Settings: DAGs, rules, parameters and further operator arguments; what is right, and what is wrong in ways a schema cannot tell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.scenarios.model import (
    IMAGE,
    SETTINGS,
    Node,
    Refused,
    Scenario,
    Works,
    default_pipeline,
    make_chain,
    pickle_entries,
)

_CANARY = "CANARY-ffeeddccbbaa"
_TOKEN = "ghp_" + "c4nary" * 6  # the form of a token, in no way one
_FENCE = '```\n# it\'s "so" $(HOME) \\ <b>'
_AB = {"pipelines": default_pipeline(*make_chain("a", "b")), "catalog": pickle_entries("raw", "a_out", "b_out")}


def _working_scenario(name: str, shows: str, settings: str, **expected: Any) -> Scenario:
    return Scenario(
        name=name,
        shows=shows,
        **_AB,
        settings=SETTINGS + settings,
        expect=Works(**{"before": (("a", "b"),), **expected}),
    )


def _refused_scenario(name: str, shows: str, settings: str, code: str, *mentions: str, **more: Any) -> Scenario:
    return Scenario(
        name=name,
        shows=shows,
        **_AB,
        settings=SETTINGS + settings,
        expect=Refused(code=code, mentions=mentions),
        **more,
    )


_DAGS = (
    replace(
        _working_scenario(
            "dag-everything",
            "every key of a DAG",
            """
dag:
  schedule: "*/15 6-18 * * 1-5"
  timezone: America/New_York
  start_date: 2026-01-01T06:30
  end_date: 2027-12-31
  catchup: true
  max_active_runs: 3
  max_active_tasks: 7
  dagrun_timeout: 1d
  retries: 2
  retry_delay: 90s
  retry_exponential_backoff: true
  quota_wait: 10m
  owner: R&D "team"
  tags: ["it's", "{{ x }}", 数据]
  description: "A \\"quoted\\" \\\\ {{ description }} with 'all' $(HOME)"
  doc_md: "# Title\\n\\n{{ not_a_template }} and `code` and \\"\\"\\"quotes\\"\\"\\"\\n"
  dag_display_name: Flüge 🚀 {{ x }}
  is_paused_upon_creation: true
  on_failure: {slack: slack_default, text: "{{ dag.dag_id }} failed in {{ run_id }}"}
  on_success: {slack: slack_default}
""",
        ),
        # whose runs may overlap
        catalog={**pickle_entries("raw"), **pickle_entries("a_out", "b_out", versioned=True)},
    ),
    Scenario(
        name="dag-graph",
        shows="the picture of the plan after the DAG's own words, with names that could break out of it",
        pipelines=default_pipeline(
            Node("raw", "m", func="named('{{ run_id }} {% raw %}')"),
            Node("m", "x", func=f"named({_FENCE!r})"),
            Node("x", "y", "last"),
        ),
        catalog=pickle_entries("raw", "x", "y"),
        settings=SETTINGS + 'dag: {doc_graph: true, doc_md: "# Title\\n\\n{{ x }}\\n"}\n',
        expect=Works(before=((f"<{_FENCE}>", "last"),)),
    ),
    _working_scenario("dag-graph-alone", "the picture of the plan as all there is to say", "dag: {doc_graph: true}\n"),
    _working_scenario("dag-every", "a DAG every half hour", "dag: {schedule: {every: 30m}}\n"),
    _working_scenario(
        "dag-preset",
        "a preset",
        'dag: {schedule: "@daily", timezone: Europe/Paris, catchup: true, start_date: 2026-01-01}\n',
    ),
    _working_scenario("dag-once", "once", 'dag: {schedule: "@once"}\n'),
    _working_scenario("dag-continuous", "again and again", 'dag: {schedule: "@continuous", max_active_runs: 1}\n'),
    _working_scenario("dag-null", "by hand only", "dag: {schedule: null}\n"),
    Scenario(
        name="dags",
        shows="several DAGs, each with its own settings over the defaults",
        pipelines={"__default__": make_chain("a", "b"), "train": make_chain("a", "b"), "score": make_chain("b")},
        catalog=pickle_entries("raw", "a_out", "b_out"),
        settings=SETTINGS
        + """
dag: {schedule: "@daily", retries: 1, tags: [all]}
dags:
  __default__: {}
  nightly: {pipeline: train, schedule: "0 3 * * *", group_by: chain}
  score: {retries: 0}
""",
        expect=Works(dag_ids=("project", "project_nightly", "project_score")),
    ),
    Scenario(
        name="dags-like-env",
        shows="a DAG named like the environment",
        pipelines={"__default__": make_chain("a"), "train": make_chain("a")},
        catalog=pickle_entries("raw", "a_out"),
        settings=SETTINGS + "dags: {prod: {pipeline: train}, __default__: {}}\n",
        overlays={"prod": "namespace: prod\n"},
        options=("--env", "prod"),
        expect=Works(dag_ids=("project_prod", "project_prod_prod")),
    ),
    Scenario(
        name="dags-collide",
        shows="a configured DAG and one of --all with one id",
        pipelines={"__default__": make_chain("a"), "train": make_chain("a"), "score": make_chain("a", "b")},
        catalog=pickle_entries("raw", "a_out", "b_out"),
        settings=SETTINGS + "dags: {train: {pipeline: score}}\n",
        options=("--all",),
        expect=Refused(code="dag-id", mentions=("train", "project_train")),
    ),
    Scenario(
        name="dags-differ-by-case",
        shows="two DAGs whose files are one on a disk that ignores case",
        pipelines={"__default__": make_chain("a"), "Side": make_chain("a"), "side": make_chain("a")},
        catalog=pickle_entries("raw", "a_out"),
        settings=SETTINGS + "dags: {Side: {}, side: {}}\n",
        expect=Works(dag_ids=("project_Side", "project_side"), says=("dag-case",)),
    ),
)

_RULES = (
    _working_scenario(
        "rules-everything",
        "every key of a task",
        """
tasks:
  default:
    resources: {requests: {cpu: 500m, memory: 1Gi, ephemeral-storage: 1Gi}, limits: {memory: 2Gi, cpu: "2"}}
    env: [{name: A, value: "1"}, {name: B_PASSWORD, valueFrom: {secretKeyRef: {name: s, key: k}}}, {name: "C", value: "{{ run_id }} $(A)"}]
    envFrom: [{configMapRef: {name: m}}, {secretRef: {name: s, optional: true}, prefix: P_}]
    labels: {team: flights, example.com/cost: "42"}
    annotations: {example.com/note: "it's {{ run_id }} 🚀"}
    imagePullPolicy: Always
    imagePullSecrets: [{name: regcred}]
    serviceAccountName: kedro
    automountServiceAccountToken: false
    nodeSelector: {disk: ssd}
    tolerations: [{key: spot, operator: Exists, effect: NoSchedule}]
    pool: kedro
    kubernetes_conn_id: kubernetes_default
  all:
    match: {node: "*"}
    affinity:
      nodeAffinity:
        requiredDuringSchedulingIgnoredDuringExecution:
          nodeSelectorTerms: [{matchExpressions: [{key: zone, operator: In, values: [a]}]}]
    priorityClassName: high
    runtimeClassName: gvisor
    schedulerName: default-scheduler
    dnsPolicy: ClusterFirst
    terminationGracePeriodSeconds: 120
    activeDeadlineSeconds: 3h
    podSecurityContext: {runAsUser: 1234, fsGroup: null, supplementalGroups: [5]}
    securityContext: {readOnlyRootFilesystem: false, capabilities: {add: [NET_BIND_SERVICE]}}
    volumes: [{name: cache, emptyDir: {sizeLimit: 1Gi}}, {name: conf, configMap: {name: m}}]
    volumeMounts: [{name: cache, mountPath: /cache}, {name: conf, mountPath: /etc/x, readOnly: true, subPath: a}]
    retries: 4
    retry_delay: 3m
    execution_timeout: 2h
    priority_weight: 5
    queue: kubernetes
    trigger_rule: none_failed
    in_cluster: true
    deferrable: false
    operator: {log_events_on_startup: false}
""",
    ),
    _working_scenario(
        "rules-differ",
        "tasks that take shared settings away",
        """
tasks:
  default: {nodeSelector: {disk: ssd}, priorityClassName: high, env: [{name: X, value: "1"}], labels: {a: b}, execution_timeout: 1h}
  b:
    match: {node: b}
    nodeSelector: null
    priorityClassName: null
    env: null
    labels: null
    execution_timeout: null
    activeDeadlineSeconds: null
    deferrable: false
    resources: {limits: {memory: 4Gi, nvidia.com/gpu: 1}}
    image: registry.example.com/gpu:1.2
""",
    ),
    _working_scenario(
        "rules-order",
        "a later rule wins, fields of maps are merged",
        """
tasks:
  default: {retries: 1, nodeSelector: {a: x, b: x}}
  one: {match: {node: [a, b]}, retries: 2, nodeSelector: {b: y}}
  two: {match: {reads: a_out, writes: "b_*"}, retries: 3, nodeSelector: {c: z, a: null}}
""",
    ),
    _working_scenario(
        "rules-openshift",
        "no user of our own, as OpenShift wants it",
        "tasks: {default: {podSecurityContext: {runAsUser: null, fsGroup: null}}}\n",
    ),
    _working_scenario(
        "scratch",
        "larger scratch folders, another project path",
        "  scratch: {sizeLimit: 20Gi}\nproject_path: /opt/kedro-project\nnamespace: kedro-jobs\n",
    ),
    _working_scenario(
        "operator-arguments",
        "further arguments of the operator",
        "tasks: {default: {operator: {startup_timeout_seconds: 60, log_events_on_startup: false, depends_on_past: true}}}\n",
    ),
    _working_scenario(
        "operator-pod",
        "arguments of the operator that are fields of the pod",
        """
tasks:
  default:
    operator:
      base_container_name: main
      hostname: worker
      subdomain: jobs
      dns_config: {nameservers: [10.0.0.10], options: [{name: ndots, value: "2"}]}
      host_aliases: [{ip: 10.0.0.1, hostnames: [db]}]
      termination_message_policy: File
      init_containers:
        - name: wait
          image: registry.example.com/wait:1
          command: [wait-for, db]
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
  b: {match: {node: b}, operator: {hostnetwork: false}, affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: []}}}
""",
    ),
    _refused_scenario(
        "operator-owned",
        "an argument that we set",
        "tasks: {x: {operator: {image: foo}}}\n",
        "settings-value",
        "tasks.x.operator",
        "image",
    ),
    _refused_scenario(
        "operator-owned-resources",
        "an argument that a setting reaches",
        "tasks: {x: {operator: {container_resources: {}}}}\n",
        "settings-value",
        "tasks.x.operator",
        "container_resources",
        "resources",
    ),
    _refused_scenario(
        "operator-misspelt",
        "an argument that is misspelt",
        "tasks: {x: {operator: {log_event_on_startup: false}}}\n",
        "settings-value",
        "tasks.x.operator",
        "log_event_on_startup",
        "log_events_on_startup",
    ),
    _refused_scenario(
        "operator-type",
        "an argument of the wrong type",
        "tasks: {x: {operator: {startup_timeout_seconds: soon}}}\n",
        "settings-value",
        "tasks.x.operator",
        "startup_timeout_seconds",
        "soon",
    ),
    _refused_scenario(
        "operator-deprecated",
        "an argument that has a successor",
        "tasks: {x: {operator: {is_delete_operator_pod: true}}}\n",
        "settings-value",
        "tasks.x.operator",
        "is_delete_operator_pod",
    ),
    _refused_scenario(
        "rule-unmatched",
        "a rule that matches nothing",
        "tasks: {gpu: {match: {tag: gpu}, retries: 1}}\n",
        "rule-unmatched",
        "tasks.gpu.match",
        "gpu",
    ),
    _refused_scenario(
        "rule-unmatched-all-of",
        "a rule of which each half matches something, and both together nothing",
        "tasks: {x: {match: {node: a, reads: a_out}, retries: 1}}\n",
        "rule-unmatched",
        "tasks.x.match",
    ),
    _refused_scenario(
        "group-unmatched",
        "a group that matches nothing",
        "groups: {heavy: {tag: heavy}}\n",
        "rule-unmatched",
        "groups.heavy",
        "heavy",
    ),
    _refused_scenario(
        "resources-upside-down",
        "a request above its limit",
        "tasks: {x: {resources: {requests: {memory: 4Gi}, limits: {memory: 2Gi}}}}\n",
        "resources",
        "4Gi",
        "2Gi",
    ),
)

# Every way to match, one node each; `out` of a profile that a tag picks, under what a rule says.
_MATCHED = Scenario(
    name="rules-match",
    shows="every way to match, and maps merged, lists replaced, null taking away over three layers",
    pipelines={
        "__default__": (
            Node("raw", "a_out", "a"),
            Node("a_out", "b_out", "b", tags=("big",)),
            Node("b_out", "EWR.c_out", "c", namespace="EWR.deep"),
            Node("EWR.c_out", "d_out", "d"),
            Node("d_out", "e_out", "e"),
            Node("e_out", "f_out", "f"),
        ),
        "part": (Node("d_out", "e_out", "e"),),
    },
    catalog=pickle_entries("raw", "a_out", "b_out", "EWR.c_out", "d_out", "e_out", "f_out"),
    settings=SETTINGS
    + """
tasks:
  default: {nodeSelector: {disk: ssd, zone: a}, tolerations: [{key: one}], labels: {team: x}}
  by-node: {match: {node: "[a]"}, nodeSelector: {zone: b}, tolerations: [{key: two}], labels: null}
  by-tag: {match: {tag: big}, nodeSelector: {zone: null}}
  by-namespace: {match: {namespace: EWR}, nodeSelector: null}
  by-reads: {match: {reads: "*c_out"}, retries: 3}
  by-pipeline: {match: {pipeline: part}, retries: 4}
  by-writes: {match: {writes: f_*}, retries: 5}
""",
    expect=Works(together=()),
)

_PROFILE = """
profiles:
  gpu: {nodeSelector: {accelerator: l4}, resources: {limits: {nvidia.com/gpu: 1}}, image: registry.example.com/gpu:1, retries: 7}
  roomy: {resources: {requests: {memory: 3Gi}, limits: {memory: 4Gi}}}
"""
_PROFILED = {
    "pipelines": default_pipeline(
        Node("raw", "a_out", "a", tags=("k8s.gpu",)),
        Node("a_out", "b_out", "b", tags=("k8s.roomy", "k8s.gpu")),
        Node("b_out", "c_out", "c"),
    ),
    "catalog": pickle_entries("raw", "a_out", "b_out", "c_out"),
}


def _profile_scenario(name: str, shows: str, tasks: str, **more: Any) -> Scenario:
    settings = SETTINGS + _PROFILE + tasks
    return Scenario(name=name, shows=shows, **{**_PROFILED, "settings": settings, "expect": Works(together=()), **more})


_PROFILES = (
    _MATCHED,
    _profile_scenario("profile-tag", "profiles by tag, without any rule", ""),
    _profile_scenario(
        "profile-rule",
        "a profile that a rule names, and changes",
        "tasks: {default: {retries: 1}, c: {match: {node: c}, profile: gpu, image: null, nodeSelector: {zone: a}}}\n",
        expect=Works(together=(), says=("rule-shadowed",)),
    ),
    _profile_scenario(
        "profile-chain",
        "nodes whose profiles differ in resources alone are fused by choice, others are not",
        "dag: {group_by: chain}\n",
        expect=Works(together=(frozenset("ab"),), before=(("b", "c"),)),
    ),
    _profile_scenario(
        "profile-overlay",
        "an overlay changes one field of a profile and of a rule, and drops another profile",
        "tasks: {c: {match: {node: c}, profile: gpu, retries: 1}}\n",
        pipelines=default_pipeline(Node("raw", "a_out", "a", tags=("k8s.gpu",)), Node("a_out", "c_out", "c")),
        overlays={
            "prod": "profiles: {gpu: {nodeSelector: {accelerator: h100}}, roomy: null}\ntasks: {c: {retries: 2}}\n"
        },
        options=("--env", "prod"),
        expect=Works(dag_ids=("project_prod",), together=()),
    ),
    _profile_scenario(
        "profile-clash",
        "nodes that have to share a pod with profiles that cannot",
        "",
        catalog=pickle_entries("raw", "b_out", "c_out"),
        settings=SETTINGS + "profiles: {gpu: {pool: a}, roomy: {pool: b, nodeSelector: {a: b}}}\n",
        pipelines=default_pipeline(
            Node("raw", "a_out", "a", tags=("k8s.gpu",)), Node("a_out", "b_out", "b", tags=("k8s.roomy",))
        ),
        overlays={"prod": "profiles: {roomy: {pool: c}}\n"},
        options=("--env", "prod"),
        expect=Refused(
            code="settings-clash",
            mentions=("conf/base/k8s_airflow.yml: profiles.gpu.pool", "conf/prod/k8s_airflow.yml: profiles.roomy.pool"),
        ),
    ),
    _profile_scenario(
        "profile-unknown-tag",
        "a tag for a profile that is not there",
        "",
        pipelines=default_pipeline(Node("raw", "a_out", "a", tags=("k8s.gpuu",))),
        expect=Refused(code="profile-unknown", mentions=("node 'a'", "'k8s.gpuu'", "Did you mean 'gpu'?", "roomy")),
    ),
    _profile_scenario(
        "profile-unknown-rule",
        "a rule of an overlay for a profile that is not there",
        "tasks: {c: {match: {node: c}}}\n",
        overlays={"prod": "tasks: {c: {profile: romy}}\n"},
        options=("--env", "prod"),
        expect=Refused(
            code="profile-unknown",
            mentions=("conf/prod/k8s_airflow.yml: tasks.c.profile", "'romy'", "Did you mean 'roomy'?"),
        ),
    ),
    _profile_scenario(
        "profile-dropped",
        "a profile that a node's tag still picks is dropped by an overlay",
        "",
        overlays={"prod": "profiles: {roomy: null}\n"},
        options=("--env", "prod"),
        expect=Refused(code="profile-unknown", mentions=("node 'b'", "'k8s.roomy'", "gpu")),
    ),
    _profile_scenario(
        "profile-drops-nothing",
        "an overlay drops a profile that no file has",
        "",
        overlays={"prod": "profiles: {romy: null}\n"},
        options=("--env", "prod"),
        expect=Refused(code="settings-value", mentions=("conf/prod/k8s_airflow.yml: profiles.romy", "'roomy'")),
    ),
    _refused_scenario(
        "profile-named",
        "a profile whose name no tag could hold",
        "profiles: {'a b': {retries: 1}}\n",
        "settings-value",
        "profiles.'a b'",
        "letters",
    ),
    _refused_scenario(
        "profile-like-rule",
        "a rule that is named like a profile's tag",
        "tasks: {k8s.gpu: {retries: 1}}\n",
        "settings-value",
        "tasks.'k8s.gpu'",
        "tags",
    ),
    _refused_scenario(
        "profile-match",
        "a profile with a match",
        "profiles: {gpu: {match: {node: a}}}\n",
        "settings-unknown",
        "profiles.gpu.match",
    ),
    _refused_scenario(
        "profile-image",
        "a profile that asks for an image which is not there",
        "profiles: {gpu: {image: nowhere}}\ntasks: {a: {match: {node: a}, profile: gpu}}\n",
        "image-unknown",
        "node 'a'",
        "'nowhere'",
    ),
    _refused_scenario(
        "profile-secret",
        "a credential in a profile",
        f"profiles: {{x: {{annotations: {{db-password: {_CANARY}}}}}}}\n",
        "secret",
        "profiles.x.annotations.db-password",
        canary=_CANARY,
    ),
)

_HOSTILE = "it's a \"node\" $HOME $(HOME) $$ `id` \\ {{ ds }} !x *\t# \u2028 数据 🚀\nEOF\n' && false"
_BY_HAND = Scenario(
    name="by-hand",
    shows="a pod with everything that a line by hand has to do without, and values that a shell would take apart",
    pipelines=default_pipeline(Node("raw", "a_out", func=f"named({_HOSTILE!r})", tags=("k8s.large",))),
    catalog=pickle_entries("raw", "a_out"),
    settings=f"""
image: {IMAGE}
credentials_secret: {{name: project-credentials, key: credentials.yml}}
data:
  volumes:
    data: {{claim: project-data, mount: data}}
    reference: {{claim: reference-data, mount: /mnt/reference, readOnly: true}}
    fixed: {{claim: fixed-data, mount: fixed tables, readOnly: true}}
profiles:
  large: {{resources: {{limits: {{memory: 8Gi}}}}}}
tasks:
  default:
    env:
      - {{name: PLAIN, value: "1e3"}}
      - {{name: TWICE, value: "$(PLAIN) $$(PLAIN) $(UNKNOWN) it's \\"that\\"\\n# two lines"}}
      - {{name: RENDERED, value: "{{{{ run_id }}}}"}}
      - {{name: DB_PASSWORD, valueFrom: {{secretKeyRef: {{name: db, key: password}}}}}}
    envFrom: [{{secretRef: {{name: more}}}}]
    volumes: [{{name: cache, emptyDir: {{}}}}, {{name: conf, configMap: {{name: m}}}}]
    volumeMounts: [{{name: cache, mountPath: /cache}}, {{name: conf, mountPath: /etc/x, subPath: a}}]
""",
    parameters={"note": "$(HOME) 'x'"},
    expect=Works(together=()),
)

_PARAMS = (
    Scenario(
        name="params-offered",
        shows="parameters in the trigger form, of every type",
        pipelines=default_pipeline(
            Node(("raw", "params:model.depth", "params:names"), "a_out", "a"), Node("a_out", "b_out", "b")
        ),
        catalog=pickle_entries("raw", "a_out", "b_out"),
        parameters={
            "model": {"depth": 3, "rate": 0.1, "name": "it's {{ x }} $(HOME)", "on": True, "none": None},
            "names": ["a", {"b": [1, 2]}],
            "table": {"x": {"y": 1}},
        },
        settings=SETTINGS
        + "dag: {params: [model.depth, model.rate, model.name, model.on, model.none, names, table]}\n",
        expect=Works(
            says=("param-form",),
            together=(),
            offers={
                "model.depth": 3,
                "model.rate": 0.1,
                "model.name": "it's {{ x }} $(HOME)",
                "model.on": True,
                "model.none": None,
                "names": ["a", {"b": [1, 2]}],
                "table": {"x": {"y": 1}},
            },
        ),
    ),
    Scenario(
        name="params-both",
        shows="--params give the defaults of what the form offers, and the rest is fixed",
        pipelines=default_pipeline(Node(("raw", "params:model.depth"), "a_out", "a")),
        catalog=pickle_entries("raw", "a_out"),
        parameters={"model": {"depth": 3, "rate": 0.1}},
        settings=SETTINGS + "dag: {params: [model.depth]}\n",
        options=("--params", "model.depth=7,model.rate=0.5,note=$(HOME) {{ run_id }}"),
        expect=Works(together=(), offers={"model.depth": 7}),
    ),
    Scenario(
        name="params-env",
        shows="an environment changes a default",
        pipelines=default_pipeline(Node(("raw", "params:depth"), "a_out", "a")),
        catalog=pickle_entries("raw", "a_out"),
        parameters={"depth": 3},
        files={"{conf}/prod/parameters.yml": "depth: 30\n"},
        settings=SETTINGS + "dag: {params: [depth]}\n",
        options=("--env", "prod"),
        expect=Works(dag_ids=("project_prod",), offers={"depth": 30}),
    ),
    Scenario(
        name="params-typed",
        shows="parameters in the trigger form whose types JSON or a browser loses, and fields with options",
        pipelines=default_pipeline(Node(("raw", "parameters"), "a_out", "a")),
        catalog=pickle_entries("raw", "a_out"),
        parameters={
            "bins": {1: "low", 2: {True: 0.5, False: "off"}},
            "rate": 2.0,
            "texts": {"none": "", "lines": "SELECT a\nFROM b\n", "inner": ["", "a b"]},
            "lists": {
                "empty": [],
                "texts": ["a", "b"],
                "mixed": [1, 2.0, "x", None],
                "maps": [{1: 1.0}],
                "deep": [[1]],
            },
            "none": None,
            "mark": "???",
            "choice": {"text": "ridge", "number": 0.5},
            "day": "2026-01-31",
        },
        settings=SETTINGS
        + """
dag:
  params:
    bins:
    rate: {title: Rate, description: Learning rate, minimum: 0, maximum: 10.5}
    texts.none:
    texts.lines:
    texts.inner:
    lists.empty:
    lists.texts:
    lists.mixed:
    lists.maps:
    lists.deep:
    none: {type: array}
    mark:
    choice.text: {enum: [ridge, lasso]}
    choice.number: {enum: [0.5, 1, 2.5]}
    day: {format: date}
""",
        expect=Works(
            together=(), offers={"rate": 2.0, "none": None, "mark": "???", "lists.mixed": [1, 2.0, "x", None]}
        ),
    ),
    *(
        _refused_scenario(
            f"params-field-{name}",
            f"a field of the trigger form with {shows}",
            f"dag: {{params: {{x: {field}}}}}\n",
            code,
            "dag.params",
            mention,
            parameters={"x": default},
        )
        for name, shows, default, field, code, mention in (
            ("bound", "a default outside its bounds", 3, "{minimum: 4}", "param-field", "outside its bounds"),
            ("bounds", "bounds the wrong way round", 3, "{minimum: 4, maximum: 2}", "param-field", "above its maximum"),
            ("fraction", "a bound that no integer reaches", 3, "{minimum: 0.5}", "param-field", "a fraction"),
            ("text-bound", "bounds of a text", "a", "{maximum: 1}", "param-field", "not a number"),
            ("choice", "a default that is no choice", "a", "{enum: [b]}", "param-field", "not one of its choices"),
            ("choice-type", "a choice of another type", 1, "{enum: [1, b]}", "param-field", "another type"),
            ("choice-empty", "an empty choice", "a", "{enum: [a, '']}", "param-field", "cannot send"),
            ("choice-list", "choices of a list", ["a"], "{enum: [a]}", "param-field", "cannot offer choices"),
            ("format", "a default of another format", "31.1.2026", "{format: date}", "param-field", "'2026-01-31'"),
            ("number-format", "the format of a number", 1, "{format: time}", "param-field", "not a text"),
            ("type", "a type of its own", 1, "{type: integer}", "param-field", "Remove `type`"),
            ("unknown", "an option that we do not know", 1, "{minimun: 1}", "settings-unknown", "minimum"),
            ("keys", "keys that JSON makes one", {True: "a", "true": "b"}, "", "param-type", "one key in JSON"),
        )
    ),
    _refused_scenario(
        "params-typed-key",
        "a parameter below a key that is not a text",
        "dag: {params: [bins.1]}\n",
        "param-dotted",
        "dag.params",
        "not a text",
        parameters={"bins": {1: "low"}},
    ),
    _refused_scenario(
        "params-unknown",
        "an offered parameter that is not there",
        "dag: {params: [model.depht]}\n",
        "param-unknown",
        "dag.params",
        "model.depht",
    ),
    _refused_scenario(
        "params-twice",
        "an offered parameter that is part of another",
        "dag: {params: [model, model.depth]}\n",
        "param-twice",
        "model.depth",
        parameters={"model": {"depth": 3}},
    ),
    Scenario(
        name="params-credential-offered",
        shows="a parameter in the form that looks like a credential",
        **_AB,
        parameters={"db": {"host": "x", "password": _CANARY}},
        settings=SETTINGS + "dag: {params: [db]}\n",
        canary=_CANARY,
        expect=Refused(code="secret", mentions=("dag.params", "'db'")),
    ),
    Scenario(
        name="params-credential-given",
        shows="a credential by --params",
        **_AB,
        options=("--params", f"db.password={_CANARY}"),
        canary=_CANARY,
        expect=Refused(code="secret", mentions=("--params", "db.password")),
    ),
    Scenario(
        name="params-number",
        shows="a number that JSON cannot write",
        **_AB,
        parameters={"rate": float("inf")},
        settings=SETTINGS + "dag: {params: [rate], quota_wait: 90s}\n",
        expect=Refused(code="param-number", mentions=("rate",)),
    ),
    Scenario(
        name="params-large",
        shows="parameters beyond what a variable of the environment can hold",
        **_AB,
        parameters={"table": ["x" * 100] * 1000},
        settings=SETTINGS + "dag: {params: [table]}\n",
        expect=Refused(code="param-size", mentions=("table", "100,000")),
    ),
    Scenario(
        name="params-dotted",
        shows="a parameter with a dot in its key, which Kedro cannot override",
        **_AB,
        parameters={"a.b": 1},
        settings=SETTINGS + "dag: {params: [a.b]}\n",
        expect=Refused(code="param-dotted", mentions=("a.b",)),
    ),
    Scenario(
        name="params-malformed",
        shows="--params that Kedro would not read",
        **_AB,
        options=("--params", "nonsense"),
        expect=Refused(code=None, mentions=("nonsense",), exit=2),
    ),
)

_SECRETS = (
    _refused_scenario(
        "secret-by-name",
        "a variable named like a credential with a literal",
        f"tasks: {{x: {{env: [{{name: DB_PASSWORD, value: {_CANARY}}}]}}}}\n",
        "settings-value",
        "tasks.x.env.0",
        "secretKeyRef",
        canary=_CANARY,
    ),
    _refused_scenario(
        "secret-by-form",
        "a literal that has the form of a token",
        f"tasks: {{x: {{env: [{{name: X, value: {_TOKEN}}}]}}}}\n",
        "secret",
        "tasks.x.env.0.value",
        canary=_TOKEN,
    ),
    _refused_scenario(
        "secret-in-url",
        "a URL with a password",
        f"tasks: {{x: {{annotations: {{a: 'https://me:{_CANARY}@example.com'}}}}}}\n",
        "secret",
        "tasks.x.annotations.a",
        canary=_CANARY,
    ),
    _refused_scenario(
        "secret-wrong-type",
        "a credential where something else belongs is not shown",
        f"tasks: {{x: {{env: {{DB_PASSWORD: {_CANARY}}}}}}}\n",
        "secret",
        "tasks.x.env.DB_PASSWORD",
        canary=_CANARY,
    ),
    _refused_scenario(
        "secret-misspelt",
        "a credential under a misspelt key is not shown",
        f"tasks: {{x: {{env: [{{name: DB_PASSWORD, valeu: {_CANARY}}}]}}}}\n",
        "settings-unknown",
        "tasks.x.env.0.valeu",
        canary=_CANARY,
    ),
)

_WRONG = (
    _refused_scenario("yaml-unreadable", "a settings file that is no YAML", "tasks: {x: [\n", "conf", "k8s_airflow"),
    _refused_scenario("yaml-twice", "a key that is there twice", "data: {}\n", "conf", "data"),
    Scenario(
        name="yaml-list",
        shows="a settings file that is a list",
        **_AB,
        settings="- image: x\n",
        expect=Refused(code=None, mentions=("k8s_airflow",)),
    ),
    Scenario(
        name="yaml-interpolation",
        shows="an interpolation that leads nowhere",
        **_AB,
        settings=f"image: {IMAGE}\nnamespace: ${{globals:nothing}}\n",
        expect=Refused(code="conf", mentions=("k8s_airflow", "nothing")),
    ),
    Scenario(
        name="image-missing",
        shows="settings without the one key they need",
        **_AB,
        settings="namespace: x\n",
        expect=Refused(code="settings-missing", mentions=("conf/base/k8s_airflow.yml", "image")),
    ),
    _refused_scenario(
        "overlay-wrong",
        "a wrong value in an overlay",
        "",
        "settings-type",
        "conf/prod/k8s_airflow.yml",
        "dag.retries",
        overlays={"prod": "dag: {retries: many}\n"},
        options=("--env", "prod"),
    ),
    _refused_scenario(
        "image-latest",
        "latest",
        "tasks: {x: {image: 'registry.example.com/x:latest'}}\n",
        "settings-value",
        "tasks.x.image",
        "latest",
    ),
    _refused_scenario(
        "cron-wrong",
        "a cron line with six fields",
        'dag: {schedule: "0 0 6 * * *"}\n',
        "settings-value",
        "dag.schedule",
        "0 0 6 * * *",
        "five fields",
    ),
    _refused_scenario(
        "preset-wrong",
        "a preset that is not there",
        'dag: {schedule: "@dayly"}\n',
        "settings-value",
        "dag.schedule",
        "@dayly",
        "@daily",
    ),
    _refused_scenario(
        "timezone-wrong",
        "a timezone that is not there",
        "dag: {timezone: Europe/Pariss}\n",
        "settings-value",
        "dag.timezone",
        "Europe/Pariss",
    ),
    _refused_scenario(
        "date-wrong",
        "a day that is not there",
        "dag: {start_date: '2026-02-30'}\n",
        "settings-value",
        "dag.start_date",
        "2026-02-30",
    ),
    _refused_scenario(
        "end-before-start",
        "a DAG that ends before it starts",
        "dag: {start_date: 2026-03-01, end_date: 2026-02-01}\n",
        "schedule",
        "2026-02-01",
    ),
    _refused_scenario(
        "duration-wrong",
        "a duration without unit",
        "tasks: {x: {execution_timeout: 90}}\n",
        "settings-value",
        "tasks.x.execution_timeout",
        "90",
    ),
    _refused_scenario(
        "quantity-wrong",
        "a quantity that Kubernetes does not know",
        "tasks: {x: {resources: {limits: {memory: 2GB}}}}\n",
        "settings-value",
        "tasks.x.resources.limits.memory",
        "2GB",
    ),
    _refused_scenario(
        "label-wrong",
        "a label that Kubernetes does not take",
        "tasks: {x: {labels: {team: 'a b'}}}\n",
        "settings-value",
        "tasks.x.labels",
        "a b",
    ),
    _refused_scenario(
        "namespace-wrong",
        "a namespace in capitals",
        "namespace: Kedro_Jobs\n",
        "settings-value",
        "namespace",
        "Kedro_Jobs",
    ),
    _refused_scenario(
        "choice-wrong",
        "a grouping that is not there",
        "dag: {group_by: pod}\n",
        "settings-type",
        "dag.group_by",
        "pod",
        "namespace",
    ),
    _refused_scenario(
        "pipeline-under-dag",
        "one pipeline for all DAGs",
        "dag: {pipeline: __default__}\n",
        "settings-value",
        "dag",
        "dags:",
    ),
    _refused_scenario(
        "doc-md-file",
        "a doc_md that Airflow would take for a file",
        "dag: {doc_md: README.md}\n",
        "settings-value",
        "dag.doc_md",
        "README.md",
    ),
)

SCENARIOS = (*_DAGS, *_RULES, *_PROFILES, _BY_HAND, *_PARAMS, *_SECRETS, *_WRONG)
