"""The model of a Kilo network: pure rules over nodes and peers, without input or output."""
