"""The network as a graph: what is drawn, decided once, and a writer for each format."""
