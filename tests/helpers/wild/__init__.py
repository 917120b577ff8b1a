"""Random graphs of the wider kind: any operator on any tensor, weights as data, lengths that are computed."""
