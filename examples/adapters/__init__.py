"""Adapters of a Hugging Face model, trained together on the market."""
