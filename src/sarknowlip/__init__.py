"""SAR-KnowLIP: corpus, evidence-based text, model and benchmark for synthetic aperture radar."""

__version__ = "0.1.0"
