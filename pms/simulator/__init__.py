"""OctoPrint look-alikes, many in one process, for the demonstration, for tests and for load."""
