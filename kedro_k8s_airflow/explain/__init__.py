"""Explanations of tasks, nodes and datasets, as data. `output.explain_text` and `output.explain_json` print them."""
