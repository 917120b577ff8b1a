"""Files: what was read, and the one way in which anything is written."""
