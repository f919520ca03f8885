"""From a plan to a DAG file, and back: the file's text, the pod that each task asks for, what two files differ in."""
