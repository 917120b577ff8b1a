"""Reports: what differs between two models, and one page in HTML on what was done."""
