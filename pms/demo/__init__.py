"""The demonstration, and the OctoPrint servers that it and the tests run, real or simulated."""
