"""What there is to explain about a task, a node or a dataset, as data. `output.explain_text` prints it."""
