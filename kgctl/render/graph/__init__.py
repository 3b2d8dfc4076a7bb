"""The network as a graph: the picture to draw, and a writer for each format."""
