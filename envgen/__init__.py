"""envgen: reproducible containers and lockfiles for Hugging Face Transformers environments."""

__version__ = "0.1.0"
