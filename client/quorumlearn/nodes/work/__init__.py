"""What nodes do where training is replayed: chunks of data and their keys, traces and their openings, what is drawn of them."""
