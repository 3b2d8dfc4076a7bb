"""The network itself: pure rules over nodes and peers, no input or output."""
