"""Kubernetes objects besides the DAG: Airflow's Role, a pod that fills volumes, commands that run one task manually."""
