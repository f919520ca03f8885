"""Compile a Kedro project to Airflow DAGs of Kubernetes pods.

The package is a compiler in small steps, one module each: `config` reads the settings, `project` the Kedro project, `graph`
says how far data reaches, `grouping` decides which nodes share a pod, `tasks` gives every group its settings, and the
back ends (`dag`, `image`, `show`) read only the resulting `Plan`.
"""

__version__ = "0.1.0"
