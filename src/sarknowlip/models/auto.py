"""Importing this makes the Auto classes of `transformers` know the model and its processor.

`AutoConfig`, `AutoModel` and `AutoProcessor` then read a saved model. `AutoTokenizer` needs no
import: tokenizer_config.json beside the weights is all it asks for.
"""

from __future__ import annotations

from transformers import AutoConfig, AutoModel, AutoProcessor

from sarknowlip.models.config import SarKnowLIPConfig
from sarknowlip.models.model import SarKnowLIP
from sarknowlip.models.processing import SarProcessor

AutoConfig.register(SarKnowLIPConfig.model_type, SarKnowLIPConfig, exist_ok=True)
AutoModel.register(SarKnowLIPConfig, SarKnowLIP, exist_ok=True)
AutoProcessor.register(SarKnowLIPConfig, SarProcessor, exist_ok=True)  # type: ignore[no-untyped-call]
