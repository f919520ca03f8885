"""The image: what it is built from, how it is built and proven, and the lock that ties it to the DAG."""
