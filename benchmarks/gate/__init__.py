"""How often the gate refuses a candidate that is no worse, measured."""
