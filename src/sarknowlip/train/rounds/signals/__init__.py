"""The table of signals: what can be asked about whether a text is right.

A signal gives columns named `signal.column`; a larger number speaks for the text, NaN says nothing.
"""

from sarknowlip.core.lazy import LazyTable

SIGNALS = LazyTable(
    "signal",
    {
        "contrastive": "sarknowlip.train.rounds.signals.contrastive:Contrastive",
        "matching": "sarknowlip.train.rounds.signals.matching:Matching",
        "reconstruction": "sarknowlip.train.rounds.signals.reconstruction:Reconstruction",
        "regeneration": "sarknowlip.train.rounds.signals.regeneration:Regeneration",
        "evidence": "sarknowlip.train.rounds.signals.evidence:EvidenceSupport",
    },
)
"""Signals by name; each is a class that keeps the contract of `signal.Signal`."""
