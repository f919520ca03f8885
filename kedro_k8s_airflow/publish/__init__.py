"""The DAGs in the repository that Airflow reads: what belongs there, one commit or none, and drift."""
