"""What the models learned, for people."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
