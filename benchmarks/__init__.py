"""Speed and memory as ratios, measured in one run against a named peer or limit. `make bench` prints the table."""
