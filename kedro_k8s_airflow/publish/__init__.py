"""Publish DAGs to the Git repository that Airflow reads, and compare them with what is published there."""
