"""What only a verifier does: its seat in the rounds (verifier), in the key ceremonies (keyholder), and on challenged blocks (judge)."""
