"""Writers of networks, lists, findings and differences in all formats."""
