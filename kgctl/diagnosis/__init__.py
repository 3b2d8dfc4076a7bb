"""What is wrong with a network: pure rules over what was read, no input or output."""
