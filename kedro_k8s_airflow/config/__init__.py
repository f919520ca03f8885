"""What users may write: the models of `k8s_airflow.yml`, their types and defaults, its loader and its JSON schema."""
