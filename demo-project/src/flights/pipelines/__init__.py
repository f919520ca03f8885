"""The stages, in order: ingest, features, training, reporting."""
