"""From a project and its settings to plans: which nodes share a pod, and what each pod gets."""
