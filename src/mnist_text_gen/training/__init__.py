"""Training: starting weights, optimizer, a Trainer with checkpoints that survive a kill, and the record of a run."""
