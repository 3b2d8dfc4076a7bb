"""Changes to Nodes and Peers: enrolment, edits, deletion, annotations."""
