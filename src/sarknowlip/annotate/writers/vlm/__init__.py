"""The writer that asks a vision-language model, and believes it only what the evidence supports."""
