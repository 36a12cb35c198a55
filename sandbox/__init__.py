"""The whole system on one machine, no docker: the same parts, each a process."""
