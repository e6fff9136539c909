"""The training recipe: starting weights, optimizer, a Trainer that loses nothing, and the record of a run."""
