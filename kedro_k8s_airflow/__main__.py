"""`python -m kedro_k8s_airflow`: the same as the console script `kedro-k8s-airflow`."""

from kedro_k8s_airflow.cli import main

if __name__ == "__main__":
    main()
