"""From a plan to the text of its DAG file, and back: rendering, the pod of each task, differences between two files."""
