"""Start the image encoder from public checkpoints on local disk."""
